"""The colors of angles: they go round once, and none of them fades into white paper."""

import numpy as np
from matplotlib.colors import ListedColormap

# Lightness, chroma and the hue of angle 0 in OKLCh (Ottosson 2020). Lightness goes up and down once, so that
# who cannot tell red from green tells opposite angles apart; at most .66, which has 3:1 against white.
_LIGHTNESS, _SWING, _CHROMA, _START = 0.545, 0.115, 0.12, np.pi / 3
_N = 256

_TO_LMS = np.array(
    [[1, 0.3963377774, 0.2158037573], [1, -0.1055613458, -0.0638541728], [1, -0.0894841775, -1.2914855480]]
)
_TO_RGB = np.array(
    [
        [4.0767416621, -3.3077115913, 0.2309699292],
        [-1.2684380046, 2.6097574011, -0.3413193965],
        [-0.0041960863, -0.7034186147, 1.7076147010],
    ]
)


def _colors() -> np.ndarray:
    """Return sRGB of `_N` angles from -pi up to, and not including, pi, shape (n, 3)."""
    angle = np.linspace(-np.pi, np.pi, _N, endpoint=False)
    lightness, hue = _LIGHTNESS + _SWING * np.cos(angle), angle + _START
    lab = np.stack([lightness, _CHROMA * np.cos(hue), _CHROMA * np.sin(hue)], axis=1)
    linear = np.clip((lab @ _TO_LMS.T) ** 3 @ _TO_RGB.T, 0, 1)
    srgb: np.ndarray = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return srgb


CYCLIC = ListedColormap(_colors(), name="hueprobe_cyclic")
