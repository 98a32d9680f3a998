"""How far to trust an answer: conformal p-values, calibration, and images unlike the memory."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
