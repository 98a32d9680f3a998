"""Pictures: where they come from, in what order, how they are split and how they are read."""

from hueprobe._lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "DEMO_PICTURES": ".demo_pictures",
        "Batch": ".loading",
        "ImageTable": ".table",
        "PictureRecord": ".reading",
        "Transform": ".transform",
        "demo": ".demo_pictures",
        "draw_folds": ".folds",
        "draw_shots": ".folds",
        "from_dataset": ".datasets",
        "from_folder": ".sources",
        "from_manifest": ".manifests.resolving",
        "from_paths": ".sources",
        "from_table": ".table_files",
        "hold_out": ".folds",
        "load_batches": ".loading",
        "manifests": "",
        "read_picture": ".reading",
        "resolve": ".sources",
        "save_table": ".table_files",
        "show_picture": ".reading",
        "split_table": ".splits",
    },
)
