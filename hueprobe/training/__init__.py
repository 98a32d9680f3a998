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
        "Objective": ".objective",
        "TrainingPictures": ".pictures",
        "TrainingRun": ".loop",
        "TrainingSettings": ".settings",
        "apply_behind": ".dropping",
        "fresh_network": ".networks",
        "objective_named": ".recipes",
        "hue_labels": ".losses",
        "load_pictures": ".pictures",
        "picture_answers": ".loop",
        "pictures_from_arrays": ".pictures",
        "spread_labels": ".losses",
        "train": ".loop",
    },
)
