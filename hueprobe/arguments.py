"""Arguments that callers give in several forms: arrays and tensors, rows, whole numbers, class names."""

import functools
import inspect
import operator
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ParamSpec, TypeVar

import numpy as np

from hueprobe.errors import InputError, ShapeError

P = ParamSpec("P")
R = TypeVar("R")


def as_array(what: str, values: Any) -> np.ndarray:
    """Return numbers as an array: an array unchanged, a tensor without its gradient, bfloat16 as float32.

    Parameters
    ----------
    what : str
        Name of the argument, for the message.
    values : array_like or torch.Tensor
        The numbers; a tensor may be on any device.

    Raises
    ------
    InputError
        The values are not numbers, or their rows differ in length.
    """
    if isinstance(values, list | tuple) and any(_is_tensor(value) for value in values):
        values = [as_array(what, value) for value in values]
    if _is_tensor(values):
        values = values.detach().cpu()
        values = (values.float() if "bfloat16" in str(values.dtype) else values).numpy()
    try:
        array = np.asarray(values)
    except (ValueError, TypeError) as error:
        raise InputError(f"{what} is not an array of numbers ({error}); give one array or tensor") from error
    if array.dtype.kind not in "biuf":
        raise InputError(
            f"{what} is not an array of real numbers, it holds {array.dtype}; give an array of float32"
        )
    return array


def as_rows(what: str, rows: Any, n: int) -> np.ndarray:
    """Return the positions of selected rows in the order given, int64.

    Parameters
    ----------
    what : str
        Name of the argument, for the message.
    rows : array_like of int, or of bool of shape (n,)
        Positions, counted from 0, or a mask that is True for selected rows. A single position is one row.
    n : int
        Number of rows.

    Raises
    ------
    InputError, ShapeError
        A position is out of range or not a whole number, or a mask has another length.

    Examples
    --------
    >>> as_rows("images", [False, True, True], 3).tolist(), as_rows("images", [2, 0], 3).tolist()
    ([1, 2], [2, 0])
    """
    given = as_array(what, list(rows) if isinstance(rows, range | set | frozenset) else rows)
    if given.dtype == bool:
        if given.shape != (n,):
            raise ShapeError(
                f"{what} is a mask of shape {given.shape}, but there are {n}; give one True or False for each"
            )
        return np.flatnonzero(given)
    found = _whole(what, given.reshape(1) if given.ndim == 0 else given)
    if found.ndim != 1:
        raise ShapeError(f"{what} has shape {found.shape}; give a list of rows, or a mask of shape ({n},)")
    if len(found) and not 0 <= found.min() <= found.max() < n:
        wrong = found[(found < 0) | (found >= n)][0]
        raise InputError(f"{what} holds {wrong}; valid values are 0 to {n - 1}")
    return found


def distinct_rows(what: str, rows: Any, n: int) -> np.ndarray:
    """Return the positions of selected rows, each once and ascending, int64.

    Parameters
    ----------
    what, rows, n
        As in `as_rows`.

    Raises
    ------
    InputError, ShapeError
        As in `as_rows`.

    Examples
    --------
    >>> distinct_rows("images", [2, 0, 2], 3).tolist()
    [0, 2]
    """
    chosen = np.zeros(n, bool)
    chosen[as_rows(what, rows, n)] = True
    return np.flatnonzero(chosen)


def as_count(what: str, value: Any, *, least: int = 1) -> int:
    """Return a whole number of at least `least`; 3.0 counts as 3.

    Parameters
    ----------
    what : str
        Name of the argument, for the message.
    value : int, or a float that is whole
        The number, of Python, NumPy or torch.
    least : int, default=1
        Smallest valid number.

    Raises
    ------
    InputError
        The value is not a whole number, or is too small.

    Examples
    --------
    >>> as_count("k", np.float64(3.0))
    3
    """
    plain = value.item() if getattr(value, "shape", None) == () else value
    if isinstance(plain, float) and plain.is_integer():
        plain = int(plain)
    try:
        number = operator.index(plain)
    except TypeError:
        number = None
    if number is None or isinstance(plain, bool):
        raise InputError(f"{what} must be a whole number, at least {least}, got {value!r}")
    if number < least:
        raise InputError(f"{what} must be at least {least}, got {number}")
    return number


def as_names(what: str, values: Any) -> tuple[str | None, ...]:
    """Return names of classes (or groups): a whole number becomes a string of its digits, NaN becomes None.

    Parameters
    ----------
    what : str
        Name of the argument, in the plural, for the message.
    values : iterable of str, int or None
        The names, of Python, NumPy, pandas or torch. NaN and NA count as missing, 3.0 counts as 3.

    Raises
    ------
    InputError
        A value is neither a name nor a whole number, or a number and a string would become the same name.
    """
    if isinstance(values, str | bytes | Mapping) or not isinstance(values, Iterable):
        raise InputError(f"{what} is {values!r}; give a list with one for each image")
    if _is_tensor(values) or isinstance(values, np.ndarray):
        given = as_array(what, values) if _is_tensor(values) else np.asarray(values)
        if given.ndim != 1:
            raise ShapeError(f"{what} have shape {given.shape}; give a list with one for each image")
        values = given.tolist()
    values = list(values)
    names: list[str | None] = []
    written: set[str | None] = set()
    for position, value in enumerate(values):
        name = _name(value)
        if name is None and not _is_missing(value):
            raise InputError(
                f"{what} hold {value!r} at position {position}; give a name, a whole number or None"
            )
        names.append(name)
        if isinstance(value, str):
            written.add(name)
    numbered = {n for n, v in zip(names, values, strict=True) if n is not None and not isinstance(v, str)}
    if both := sorted(numbered & written):
        raise InputError(f"{what} hold {both[0]} as a number and as a string; use one of them")
    return tuple(names)


def require_kind(what: str, value: Any, *kinds: type) -> None:
    """Raise InputError unless a value is an instance of one of some classes.

    Parameters
    ----------
    what : str
        Name of the argument, for the message.
    value : object
        Its value.
    *kinds : type
        The classes.

    Raises
    ------
    InputError
        The message names the classes, and the class of the value.
    """
    if not isinstance(value, kinds):
        given = "None" if value is None else f"a {type(value).__name__}"
        raise InputError(f"{what} is {given}; give {' or '.join(f'a {kind.__name__}' for kind in kinds)}")


def takes(*kinds: type, several: bool = False) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Decorate a function to raise InputError unless its first argument is of one of some classes.

    Parameters
    ----------
    *kinds : type
        The classes.
    several : bool, default=False
        Whether the argument is a sequence of instances; a single instance counts as a sequence of one.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        name = next(iter(inspect.signature(function).parameters))

        @functools.wraps(function)
        def checked(*args: P.args, **kwargs: P.kwargs) -> R:
            if args or name in kwargs:
                given: Any = args[0] if args else kwargs[name]
                taken = _all_of(name, given, kinds) if several else given
                if not several:
                    require_kind(name, given, *kinds)
                if args:
                    return function(taken, *args[1:], **kwargs)  # type: ignore[arg-type]
                kwargs[name] = taken
            return function(*args, **kwargs)

        return checked

    return decorate


def _all_of(name: str, given: Any, kinds: tuple[type, ...]) -> list[Any]:
    if isinstance(given, kinds):
        return [given]
    if given is None or isinstance(given, str | Mapping) or not isinstance(given, Iterable):
        require_kind(name, given, *kinds)
    several = list(given)
    for position, value in enumerate(several):
        require_kind(f"{name}[{position}]", value, *kinds)
    return several


def _is_tensor(values: Any) -> bool:
    return hasattr(values, "detach") and hasattr(values, "cpu")


def _whole(what: str, numbers: np.ndarray) -> np.ndarray:
    if numbers.dtype.kind in "iu":
        return numbers.astype(np.int64, copy=False)
    whole = numbers.astype(np.int64) if np.isfinite(numbers).all() else None
    if whole is None or (whole != numbers).any():
        raise InputError(
            f"{what} holds numbers that are not whole; give row numbers, counted from 0, or a mask"
        )
    return whole


def _name(value: Any) -> str | None:
    value = value.item() if getattr(value, "shape", None) == () else value
    if isinstance(value, str):
        return str(value)
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer):
        return None
    whole = isinstance(value, int | np.integer) or value.is_integer()
    return str(int(value)) if whole else None


def _is_missing(value: Any) -> bool:
    """Return whether a value is None, a NaN of any kind, or the NA or NaT of pandas."""
    if value is None:
        return True
    try:
        return bool(value != value)
    except (TypeError, ValueError):
        return type(value).__name__ == "NAType"
