"""Observation 2: accuracy of descriptors and classifiers, and the votes of each pixel."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
