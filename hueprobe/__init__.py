"""Nearest-neighbor analysis of CNN activations.

Importing hueprobe loads nothing heavy; every name below is fetched when it is first used.
"""

from hueprobe._lazy import lazy_exports
from hueprobe.allocation import ask_for_huge_pages

__version__ = "0.1.0"

ask_for_huge_pages()

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "Grid": ".grid",
        "HueprobeError": ".errors",
        "HueprobeWarning": ".errors",
        "Classification": ".classification",
        "KernelDensityClassifier": ".classifier",
        "Matches": ".matches",
        "Memory": ".memory",
        "PooledClassifier": ".pooled_classifier",
        "activations": "",
        "datasets": "",
        "build_memories": ".memory",
        "build_memory": ".memory",
        "images": "",
        "load_backbone": ".activations",
        "memory": "",
        "memory_from_arrays": ".memory",
        "observations": "",
        "observe": ".studies.observing.memories",
        "open_memory": ".memory",
        "open_searcher": ".search",
        "plots": "",
        "read_matches": ".matches",
        "search": "",
        "stats": "",
        "studies": "",
        "training": "",
    },
)
