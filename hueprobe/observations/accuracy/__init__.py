"""Observation 2: accuracy of descriptors and classifiers, and what each pixel voted for."""

from hueprobe._lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "AccuracyRun": ".grid",
        "AccuracyGrid": ".grid",
        "accuracy_run": ".grid",
        "evaluate": ".evaluation",
        "query_votes": ".votes",
    },
)
