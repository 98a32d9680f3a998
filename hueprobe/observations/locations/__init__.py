"""Observation 3: where in the image plane the matches land."""

from hueprobe._lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "Locations": ".maps",
        "block_labels": ".blocks",
        "blocked_replicate_test": ".replicate_test",
        "class_positions": ".positions",
        "default_blocks": ".blocks",
        "measure": ".maps",
        "naive_rayleigh": ".positions",
        "search_blocks": ".blocks",
    },
)
