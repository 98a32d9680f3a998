"""Networks, the layer where each ends in a grid of activations, and what an image is reduced to."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
