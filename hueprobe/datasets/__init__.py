"""Data manifests: named data sets, where they come from, how they lie on disk, and what a whole one holds."""

from hueprobe._lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "Manifest": ".manifest",
        "Problem": ".checks",
        "Verification": ".verifying",
        "data_root": ".roots",
        "draft_manifest": ".drafting",
        "fetch_set": ".fetching",
        "from_manifest": ".resolving",
        "load_manifest": ".library",
        "manifest_names": ".library",
        "verify_set": ".verifying",
        "verify_table": ".verifying",
    },
)
