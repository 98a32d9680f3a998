"""Statistics of arrays: intervals, tests, circular means, information."""

from hueprobe._lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "Interval": ".intervals",
        "circular": "",
        "compare_paired": ".paired",
        "dyadic_variance": ".dyadic",
        "hull_distances": ".hulls",
        "mutual_information": ".information",
        "permutation_p": ".permutation",
        "proportion_interval": ".intervals",
        "sign_flip_p": ".permutation",
        "split_spread": ".paired",
        "unit_interval": ".intervals",
    },
)
