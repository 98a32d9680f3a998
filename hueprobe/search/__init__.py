"""Exact search, Annoy and FAISS behind one Searcher; `Neighbors` is the one result."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
