"""Observations 1-5 of the paper as functions from arrays and matches to results; they write no files."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
