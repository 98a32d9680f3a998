"""The explorer: matches in the browser, as one file or from a local server."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
