"""Data manifests: named data sets, their source, their layout on disk, and their expected content."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
