"""Images: where they come from, in what order, how they are split and how they are read."""

from hueprobe._lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "DEMO_IMAGES": ".demo_images",
        "Batch": ".loading",
        "ImageTable": ".table",
        "ImageRecord": ".reading",
        "Transform": ".transform",
        "demo": ".demo_images",
        "draw_folds": ".folds",
        "draw_shots": ".folds",
        "from_dataset": ".torch_datasets",
        "from_folder": ".paths",
        "from_paths": ".paths",
        "from_table": ".resolve",
        "hold_out": ".folds",
        "load_batches": ".loading",
        "read_image": ".reading",
        "resolve_images": ".resolve",
        "save_table": ".table_files",
        "show_image": ".reading",
        "split_table": ".splits",
    },
)
