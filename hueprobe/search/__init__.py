"""Exact search, Annoy and FAISS behind one Searcher; `Neighbors` is the one result."""

from hueprobe._lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "Neighbors": ".neighbors",
        "Searcher": ".neighbors",
        "SearcherSpec": ".spec",
        "Trial": ".tuning",
        "Tuning": ".tuning",
        "build_index": ".index",
        "measure_recall": ".recall",
        "open_searcher": ".index",
        "parse_spec": ".spec",
        "tune_searcher": ".tuning",
    },
)
