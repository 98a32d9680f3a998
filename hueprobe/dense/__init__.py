"""Labels of pixels from the nearest cells of a memory with masks, and how right they are."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
