"""Work larger than one machine: memories built in parts by several processes or machines, and joined."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
