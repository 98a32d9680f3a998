"""Training networks: the hue loss, its rivals, and a loop that knows none of them by name."""

from hueprobe._lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "AL2": ".penalties",
        "CatchUpMix": ".mixing",
        "HueHead": ".heads",
        "HueLoss": ".losses",
        "LayerWatch": ".watching",
        "MaxDropout": ".dropping",
        "MixedBatch": ".mixing",
        "apply_behind": ".dropping",
        "hue_labels": ".losses",
        "spread_labels": ".losses",
    },
)
