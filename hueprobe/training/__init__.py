"""Training networks: the hue loss, its rivals, and a loop that knows none of them by name."""

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
        "apply_behind": ".maxdropout",
        "fresh_network": ".networks",
        "objective_named": ".objectives",
        "hue_labels": ".losses",
        "load_images": ".images",
        "image_answers": ".loop",
        "images_from_arrays": ".images",
        "spread_labels": ".losses",
        "train": ".loop",
    },
)
