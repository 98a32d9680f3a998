"""What images lose on the way to 8-bit RGB, noticed one by one and said once for all."""

import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from hueprobe.errors import HueprobeWarning

_SURELY_DARK = 1 << 12  # of 16 bits: at most 15 of 255
_MAYBE_DARK = 1 << 14
_DEPTHS = (8, 10, 12, 14)


@dataclass(frozen=True)
class Noticed:
    """What one image lost.

    Attributes
    ----------
    transparent : bool
        It is not opaque everywhere; its colors count as they are.
    greatest : int or None
        The greatest value of a gray image of 16 bits that was taken for 0 to 65535.
    dark_colors : bool
        It has 16 bits a channel, of which the upper 8 were read, and these hold next to nothing.
    cut : bool
        Values lie beyond the range that was asked for.
    """

    transparent: bool = False
    greatest: int | None = None
    dark_colors: bool = False
    cut: bool = False


NOTHING = Noticed()


class Tally:
    """Counts what was noticed of many images."""

    def __init__(self) -> None:
        self._n = self._transparent = self._dark_colors = self._cut = 0
        self._greatest: list[int] = []

    def add(self, images: Iterable[Noticed]) -> None:
        """Count some more.

        Parameters
        ----------
        images : iterable of Noticed
        """
        for noticed in images:
            self._n += 1
            self._transparent += noticed.transparent
            self._dark_colors += noticed.dark_colors
            self._cut += noticed.cut
            if noticed.greatest is not None:
                self._greatest.append(noticed.greatest)

    def warn(self, *, stacklevel: int = 2) -> None:
        """Say in a warning each what was noticed.

        Parameters
        ----------
        stacklevel : int
            As for `warnings.warn`, of the caller.
        """
        for text in self._texts():
            warnings.warn(text, HueprobeWarning, stacklevel=stacklevel + 1)

    def _texts(self) -> Iterator[str]:
        if self._transparent:
            yield (
                f"{self._transparent} of {self._n} images are not opaque: their transparency is dropped and "
                "their colors are taken as they are; paint them on a background where that matters"
            )
        lit = [value for value in self._greatest if value > 0]  # all black tells nothing
        dark = [value for value in lit if value < _SURELY_DARK]
        if not dark and all(value < _MAYBE_DARK for value in lit):
            dark = lit
        if dark:
            depth = next(bits for bits in _DEPTHS if max(dark) < 1 << bits)
            nearly = "nearly black" if max(dark) < _SURELY_DARK else "dark"
            yield (
                f"{len(dark)} of {self._n} images have 16 bits and no value above {max(dark)} of 65535, so "
                f"they come out {nearly}; if they hold {depth} bits, make the memory with --range {depth} "
                f"(in Python value_range={depth})"
            )
        if self._dark_colors:
            yield (
                f"{self._dark_colors} of {self._n} images have 16 bits a color and no value above 4095 of "
                "65535, so they come out nearly black, and only the upper 8 bits of colors are read; scale "
                "them to 16 bits or save them with 8"
            )
        if self._cut:
            yield (
                f"{self._cut} of {self._n} images have values beyond the range that was asked for; they are "
                "cut off to black or white"
            )
