"""The independent units behind matches."""

from hueprobe._lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "MatchUnits": ".match_units",
        "influence_interval": ".match_units",
        "match_units": ".match_units",
        "ratio_interval": ".match_units",
    },
)
