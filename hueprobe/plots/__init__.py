"""A result in, an Axes in, an Axes out; composites of several Axes give a Figure."""

from hueprobe._lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "SeenPicture": ".pictures",
        "angle_accuracy": ".hue",
        "axis_information": ".hue",
        "class_directions": ".directions",
        "class_energy_maps": ".energy",
        "class_hues": ".hue",
        "class_likelihoods": ".query",
        "class_locations": ".locations",
        "conditional_map": ".conditional",
        "conditional_maps": ".conditional",
        "conditional_summary": ".conditional",
        "energy_and_matches": ".directions",
        "energy_map": ".energy",
        "energy_maps": ".energy",
        "energy_profile": ".energy",
        "hue_map": ".hue",
        "location_map": ".locations",
        "match_locations": ".locations",
        "match_profile": ".locations",
        "query_figure": ".query",
        "same_class_shares": ".locations",
        "tangential_excess": ".conditional",
        "tangential_spreads": ".conditional",
        "visible_box": ".pictures",
        "vote_map": ".query",
    },
)
