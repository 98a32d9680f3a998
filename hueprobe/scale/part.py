"""One part of several: its text I/N, parsed once, and its share of a number of pieces."""

import re
from dataclasses import dataclass

from hueprobe.errors import InputError

_MOST_PARTS = 99_999
_TEXT = re.compile(r"0*([0-9]{1,9})/0*([0-9]{1,9})")


@dataclass(frozen=True)
class Part:
    """Part `number` of `n`, counted from 1.

    Attributes
    ----------
    number : int
        Number of the part, from 1 to `n`.
    n : int
        Number of all parts.

    Raises
    ------
    InputError
        The number is not from 1 to `n`.

    See Also
    --------
    hueprobe.scale.Part.parse : The part of a text such as `"3/16"`.

    Examples
    --------
    >>> hp.scale.Part(3, 16)
    Part(number=3, n=16)
    >>> [hp.scale.Part(number, 4).share(10) for number in (1, 2, 3, 4)]
    [range(0, 2), range(2, 5), range(5, 7), range(7, 10)]
    """

    number: int
    n: int

    def __post_init__(self) -> None:
        """Refuse numbers out of range."""
        if not 1 <= self.n <= _MOST_PARTS or not 1 <= self.number <= self.n:
            raise _no_part(f"{self.number}/{self.n}")

    def __str__(self) -> str:
        """Return the text that `parse` takes.

        >>> str(Part(3, 16))
        '3/16'
        """
        return f"{self.number}/{self.n}"

    @classmethod
    def parse(cls, text: str) -> "Part":
        """Return the part of a text I/N.

        Parameters
        ----------
        text : str
            Number of the part and number of all parts, such as `"3/16"`; the first part is `"1/16"`.

        Returns
        -------
        Part

        Raises
        ------
        InputError
            The text has another form, or the number is out of range.

        Examples
        --------
        >>> hp.scale.Part.parse("3/16")
        Part(number=3, n=16)
        """
        match = _TEXT.fullmatch(text.strip())
        if match is None:
            raise _no_part(text)
        return cls(int(match[1]), int(match[2]))

    def share(self, n: int) -> range:
        """Return this part's share of `n` pieces: contiguous, and as even as possible.

        The shares of all parts are disjoint and cover all pieces, in order. A share is empty only if there
        are fewer pieces than parts.

        Parameters
        ----------
        n : int
            Number of pieces.

        Returns
        -------
        range

        Examples
        --------
        >>> hp.scale.Part(2, 4).share(10)
        range(2, 5)
        """
        return range((self.number - 1) * n // self.n, self.number * n // self.n)


def _no_part(text: str) -> InputError:
    return InputError(
        f"part {text!r} is not I/N with I from 1 to N and N at most {_MOST_PARTS}; give for example 3/16 "
        "(a SLURM array of them is --array=1-16)"
    )
