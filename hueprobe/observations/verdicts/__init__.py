"""The paper's claims, the rules of a verdict, and the results that bear on each claim."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
