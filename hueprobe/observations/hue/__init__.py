"""Observation 5: the angle across the uniform axis of activation space."""

from hueprobe._lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "Hue": ".hue",
        "angle_relation": ".relations",
        "energy_position": ".relations",
        "measure": ".hue",
    },
)
