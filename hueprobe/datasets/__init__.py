"""Data manifests: named data sets, where they come from, how they lie on disk, and what a whole one holds."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
