"""Observation 4: where the matches land, given the query cell."""

from hueprobe._lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "Conditional": ".conditional",
        "content_or_position": ".mirrored",
        "measure": ".conditional",
    },
)
