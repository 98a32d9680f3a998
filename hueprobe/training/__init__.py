"""Training networks: the hue loss, what it is compared with, and a loop that knows no loss by name."""

from hueprobe._lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "AL2": ".al2",
        "CatchUpMix": ".catchup_mix",
        "HueHead": ".heads",
        "HueLoss": ".losses",
        "LayerWatch": ".layer_watch",
        "MaxDropout": ".maxdropout",
        "MixedBatch": ".catchup_mix",
        "Objective": ".objective",
        "TrainingImages": ".images",
        "TrainingRun": ".loop",
        "TrainingSettings": ".settings",
        "apply_behind": ".insertion",
        "fresh_network": ".networks",
        "hue_labels": ".losses",
        "load_images": ".images",
        "objective_named": ".objectives",
        "images_from_arrays": ".images",
        "predict_classes": ".loop",
        "spread_labels": ".losses",
        "train": ".loop",
    },
)
