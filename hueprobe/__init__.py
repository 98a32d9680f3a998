"""Nearest-neighbor analysis of CNN activations.

Importing hueprobe loads nothing heavy; every name below is fetched when it is first used.
"""

import lazy_loader

__version__ = "0.2.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
