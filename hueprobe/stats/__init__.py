"""Statistics of arrays: intervals, tests, circular means, information."""

from hueprobe._lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "Interval": ".intervals",
        "circular": "",
        "compare_paired": ".paired",
        "hull_distances": ".hulls",
    },
)
