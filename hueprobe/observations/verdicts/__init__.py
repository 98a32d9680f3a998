"""The claims of the paper, the rules of a verdict, and which results speak for which claim."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
