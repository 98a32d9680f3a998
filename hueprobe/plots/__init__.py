"""Plots of results: functions take a result and an Axes and return the Axes; composites return a Figure."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
