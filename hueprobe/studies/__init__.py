"""Studies over whole memories and of trained networks, resumable, that leave tables behind."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
