"""What was extracted, on disk: pixel vectors with their (x, y), image and class."""

from hueprobe._lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "Memory": ".store",
        "append_images": ".build",
        "as_stored": ".vectors",
        "build_memories": ".build",
        "build_memory": ".build",
        "derive_memory": ".arrays",
        "layer_path": ".build",
        "memory_from_arrays": ".arrays",
        "open_memory": ".store",
        "plan_memory": ".plan",
        "verify_memory": ".verify",
    },
)
