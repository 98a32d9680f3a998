"""Observations 1-5 as numbers: results in, results out, no files."""

from hueprobe._lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "accuracy": "",
        "conditional": "",
        "energy": "",
        "hue": "",
        "locations": "",
        "units": "",
        "verdicts": "",
    },
)
