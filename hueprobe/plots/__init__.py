"""A result in, an Axes in, an Axes out."""

from hueprobe._lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "SeenPicture": ".pictures",
        "class_likelihoods": ".query",
        "query_figure": ".query",
        "visible_box": ".pictures",
        "vote_map": ".query",
    },
)
