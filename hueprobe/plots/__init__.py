"""A result in, an Axes in, an Axes out; composites of several Axes give a Figure."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
