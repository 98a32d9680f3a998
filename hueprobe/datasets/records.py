"""Conversion of TOML tables to records; errors name the key, its value and what is allowed.

Types define the allowed values. Records check what types cannot express (that a path stays inside, that keys
agree) in `__post_init__`, by `ValueError("key: what is wrong")`.
"""

from collections.abc import Mapping
from types import UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

import msgspec
from msgspec import inspect as kinds

from hueprobe.errors import nearest_names

MISSING = "is missing"


class Record(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A frozen table of named values; unknown keys are rejected."""


R = TypeVar("R", bound=Record)


class Misfit(ValueError):
    """A document does not match its record; the message begins with the dotted key."""


def as_record(document: Mapping[str, Any], kind: type[R]) -> R:
    """Return a parsed document as a record of this kind.

    Parameters
    ----------
    document : mapping
        Parsed TOML from tomllib.
    kind : type
        Class of the record.

    Raises
    ------
    Misfit
        If a key is unknown or missing, or a value is not allowed; reports the first.

    Examples
    --------
    >>> from typing import Annotated
    >>> class Counts(Record, frozen=True, kw_only=True):
    ...     images: Annotated[int, msgspec.Meta(ge=0)] = 0
    >>> as_record({"images": 3}, Counts)
    Counts(images=3)
    >>> as_record({"images": -1}, Counts)
    Traceback (most recent call last):
    ...
    hueprobe.datasets.records.Misfit: images: is -1; give a whole number of 0 or more
    """
    try:
        return msgspec.convert(document, kind)
    except (msgspec.ValidationError, OverflowError, RecursionError):
        place, said = _misfit(document, kind)
        raise Misfit(f"{place}: {said}" if place else said) from None


def _misfit(value: Any, kind: Any) -> tuple[str, str]:
    """Return the dotted place of the first value that does not fit, and what is wrong with it."""
    meant = _meant(kind, value)
    info = kinds.type_info(meant)
    inner: dict[Any, Any] = {}
    if isinstance(value, dict) and isinstance(info, kinds.StructType):
        return _misfit_of_table(value, meant)
    if isinstance(value, dict) and isinstance(info, kinds.DictType):
        inner = dict.fromkeys(value, get_args(meant)[1])
    elif isinstance(value, list) and isinstance(info, kinds.VarTupleType):
        inner = dict.fromkeys(range(len(value)), get_args(meant)[0])
    for key, inner_kind in inner.items():
        if not _fits(value[key], inner_kind):
            return _below(str(key), *_misfit(value[key], inner_kind))
    return "", f"is {_short(value)}; give {_allowed(kind)}"


def _misfit_of_table(value: dict[str, Any], kind: type[Record]) -> tuple[str, str]:
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    for name in value:
        if name not in fields:
            near = nearest_names(name, list(fields), n=1)
            return name, f"unknown key; did you mean {near[0]!r}? Allowed here: {', '.join(fields)}"
    for name, field in fields.items():
        if name in value and not _fits(value[name], field.type):
            return _below(name, *_misfit(value[name], field.type))
        if name not in value and field.required:
            if isinstance(kinds.type_info(field.type), kinds.StructType):  # a key of that table is missing
                return _below(name, *_misfit({}, field.type))
            return name, f"{MISSING}; give {_allowed(field.type)}"
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError as error:  # raised by the record's own checks
        place, _, said = str(error.__cause__ or error).partition(": ")
        return (place, said) if said else ("", place)
    raise AssertionError("this table fits")


def _fits(value: Any, kind: Any) -> bool:
    try:
        msgspec.convert(value, kind)
    except (msgspec.ValidationError, OverflowError, RecursionError):
        return False
    return True


def _below(name: str, place: str, said: str) -> tuple[str, str]:
    return f"{name}.{place}" if place else name, said


def _meant(kind: Any, value: Any) -> Any:
    """Return which type of a union `value` was meant to be; None stands for an absent key."""
    if get_origin(kind) not in (Union, UnionType):
        return kind
    others = [one for one in get_args(kind) if one is not type(None)]
    holds = {list: tuple}.get(type(value), type(value))
    return next((one for one in others if get_origin(one) is holds), others[0] if len(others) == 1 else kind)


def _allowed(kind: Any) -> str:
    """Return the allowed values of this type, in words."""
    if get_origin(kind) is Literal:
        return f"one of: {', '.join(get_args(kind))}"
    if get_origin(kind) in (Union, UnionType):
        return " or ".join(_allowed(one) for one in get_args(kind) if one is not type(None))
    match kinds.type_info(kind):
        case kinds.Metadata(extra_json_schema={"description": str(said)}):
            return said
        case kinds.StrType():
            return "a string"
        case kinds.BoolType():
            return "true or false"
        case kinds.IntType(ge=least, le=None) if least is not None:
            return f"a whole number of {least} or more"
        case kinds.IntType(ge=least, le=most) if most is not None:
            return f"a whole number from {least} to {most}"
        case kinds.IntType():
            return "a whole number"
        case kinds.FloatType(gt=above):
            return "a number" + (f" above {above:g}" if above is not None else "")
        case kinds.VarTupleType():
            return "a list"
        case _:
            return "a table"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
