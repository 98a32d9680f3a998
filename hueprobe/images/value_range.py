"""Which values are black and white in images of more than 8 bits, where the file does not tell."""

import math
import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from hueprobe.errors import InputError

FULL, AUTO = "full", "auto"
_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_BOUNDS = re.compile(rf"({_NUMBER}):({_NUMBER})")
_MOST_BITS = 32


@dataclass(frozen=True)
class ValueRange:
    """The values that become black and white; those beyond are cut off.

    Attributes
    ----------
    bounds : (float, float) or None
        Black and white; None where each image's own least and greatest value are.

    Examples
    --------
    >>> ValueRange.of("12").bounds, ValueRange.of("0:4095").text
    ((0.0, 4095.0), '0:4095')
    """

    bounds: tuple[float, float] | None

    @classmethod
    def of(cls, given: Any) -> "ValueRange | None":
        """Return the range that a user names; None for the whole range of the type, as without one.

        Parameters
        ----------
        given : str, int, (float, float), ValueRange or None
            A number of bits (12: from 0 to 4095), "LOW:HIGH" or (low, high), "auto" for each image's own
            least and greatest value, "full" or None.

        Raises
        ------
        InputError
            It is none of these.
        """
        if given is None or isinstance(given, cls):
            return given
        is_pair = isinstance(given, tuple | list) and len(given) == 2
        text = f"{given[0]}:{given[1]}" if is_pair else str(given).strip()
        if text == FULL:
            return None
        if text == AUTO:
            return cls(None)
        if text.isascii() and text.isdecimal() and 1 <= int(text[:4]) <= _MOST_BITS:
            return cls((0.0, float(2 ** int(text) - 1)))
        if match := _BOUNDS.fullmatch(text):
            low, high = (float(bound) for bound in match.groups())
            if math.isfinite(low) and math.isfinite(high) and low < high:
                return cls((low, high))
        raise InputError(
            f"the range of values is {text!r}; give a number of bits from 1 to {_MOST_BITS}, LOW:HIGH with "
            f"LOW below HIGH, {AUTO!r} or {FULL!r}"
        )

    @property
    def text(self) -> str:
        """LOW:HIGH, or "auto": what `of` takes, the same for the same range."""
        return AUTO if self.bounds is None else ":".join(f"{bound:.17g}" for bound in self.bounds)

    def scaled(self, values: np.ndarray) -> np.ndarray:
        """Return values on the scale of 0 to 1, float64 of the same shape.

        Parameters
        ----------
        values : ndarray of numbers

        Raises
        ------
        ValueError
            Some are NaN or infinite.
        """
        values = values.astype(np.float64)
        if not np.isfinite(values).all():
            raise ValueError("the picture has pixels that are NaN or infinite")
        low, high = (values.min(), values.max()) if self.bounds is None else self.bounds
        with np.errstate(over="ignore", invalid="ignore"):
            scaled = (values - low) / (high - low) if high > low else np.zeros_like(values)
        return np.clip(scaled, 0, 1)

    def cuts(self, least: float, greatest: float) -> bool:
        """Whether values from `least` to `greatest` reach beyond the bounds.

        Parameters
        ----------
        least, greatest : float
        """
        return self.bounds is not None and (least < self.bounds[0] or greatest > self.bounds[1])
