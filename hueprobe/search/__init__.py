"""Nearest-neighbor search: exact search, Annoy and FAISS, all as a `Searcher` that returns `Neighbors`."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
