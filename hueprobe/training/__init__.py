"""Training of networks: the hue loss, other regularizers, and a training loop that works with any of them."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
