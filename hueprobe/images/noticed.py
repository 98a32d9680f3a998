"""Information that images lose in the conversion to 8-bit RGB, counted and reported once."""

import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from hueprobe.errors import HueprobeWarning

_SURELY_DARK = 1 << 12  # of 16 bits: at most 15 of 255
_MAYBE_DARK = 1 << 14
_DEPTHS = (8, 10, 12, 14)


@dataclass(frozen=True)
class Noticed:
    """Information that one image lost.

    Attributes
    ----------
    transparent : bool
        Whether it is not opaque everywhere; its colors are used unchanged.
    greatest : int or None
        Maximum of a 16-bit gray image that was read with the range 0 to 65535.
    dark_colors : bool
        Whether it has 16 bits per channel, of which only the upper 8 were read, and those are almost empty.
    cut : bool
        Whether values are outside the value range.
    """

    transparent: bool = False
    greatest: int | None = None
    dark_colors: bool = False
    cut: bool = False


NOTHING = Noticed()


class Tally:
    """Counts what was noticed in many images."""

    def __init__(self) -> None:
        self._n = self._transparent = self._dark_colors = self._cut = 0
        self._greatest: list[int] = []

    def add(self, images: Iterable[Noticed]) -> None:
        """Count more images.

        Parameters
        ----------
        images : iterable of Noticed
            What was noticed in each.
        """
        for noticed in images:
            self._n += 1
            self._transparent += noticed.transparent
            self._dark_colors += noticed.dark_colors
            self._cut += noticed.cut
            if noticed.greatest is not None:
                self._greatest.append(noticed.greatest)

    def warn(self, *, stacklevel: int = 2) -> None:
        """Issue one warning per kind of loss.

        Parameters
        ----------
        stacklevel : int, default=2
            Stack level of the caller, as in `warnings.warn`.
        """
        for text in self._texts():
            warnings.warn(text, HueprobeWarning, stacklevel=stacklevel + 1)

    def _texts(self) -> Iterator[str]:
        if self._transparent:
            yield (
                f"{self._transparent} of {self._n} images are not opaque: their transparency is dropped and "
                "their colors are used unchanged; if that matters, draw them on a background first"
            )
        lit = [value for value in self._greatest if value > 0]  # an all-black image shows nothing
        dark = [value for value in lit if value < _SURELY_DARK]
        if not dark and all(value < _MAYBE_DARK for value in lit):
            dark = lit
        if dark:
            depth = next(bits for bits in _DEPTHS if max(dark) < 1 << bits)
            nearly = "nearly black" if max(dark) < _SURELY_DARK else "dark"
            yield (
                f"{len(dark)} of {self._n} images have 16 bits and no value above {max(dark)} of 65535, so "
                f"they become {nearly}; if they have {depth} bits, build the memory with --range {depth} "
                f"(in Python value_range={depth})"
            )
        if self._dark_colors:
            yield (
                f"{self._dark_colors} of {self._n} images have 16 bits per channel and no value above 4095 "
                "of 65535; since only the upper 8 bits are read, they become nearly black; scale them to "
                "16 bits or save them with 8"
            )
        if self._cut:
            yield (
                f"{self._cut} of {self._n} images have values outside the value range; they are clipped to "
                "black or white"
            )
