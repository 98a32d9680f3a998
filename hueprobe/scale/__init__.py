"""Work larger than one machine: memories built in parts and joined, searches made in parts and merged."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
