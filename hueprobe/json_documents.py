"""JSON documents: what is written as such holds null for NaN and infinity, which JSON does not know."""

import json
import math
from collections.abc import Mapping
from dataclasses import is_dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints


def json_text(
    document: Any, *, indent: int | None = None, sort_keys: bool = True, ensure_ascii: bool = True
) -> str:
    """Return a document as JSON; see `plain` for what it may hold.

    Parameters
    ----------
    document
    indent, sort_keys, ensure_ascii
        As in `json.dumps`.

    Examples
    --------
    >>> json_text({"recall": float("nan"), "classes": ("a", "b")})
    '{"classes": ["a", "b"], "recall": null}'
    """
    return json.dumps(
        plain(document), indent=indent, sort_keys=sort_keys, ensure_ascii=ensure_ascii, allow_nan=False
    )


def plain(value: Any) -> Any:
    """Return a value that JSON takes: null for NaN and infinity, text for paths, lists for arrays.

    >>> plain((float("inf"), Path("a/b")))
    [None, 'a/b']
    """
    if isinstance(value, Mapping):
        return {key if isinstance(key, str) else str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    return value


def with_nans(value: Any, kind: Any) -> Any:
    """Return a document read from JSON with NaN for null wherever a type wants a number.

    Parameters
    ----------
    value
    kind : type
        Of what the document holds: a dataclass, a container, or a union with None.

    Examples
    --------
    >>> with_nans([1.0, None], tuple[float, ...])
    [1.0, nan]
    >>> with_nans(None, float | None)
    """
    if value is None:
        return math.nan if kind is float else None
    if get_origin(kind) in (Union, UnionType):
        others = [one for one in get_args(kind) if one is not NoneType]
        return with_nans(value, others[0]) if len(others) == 1 else value
    arguments = get_args(kind)
    if isinstance(value, dict):
        if is_dataclass(kind):
            kinds = get_type_hints(kind)
            return {name: with_nans(item, kinds.get(name)) for name, item in value.items()}
        if len(arguments) == 2:
            return {name: with_nans(item, arguments[1]) for name, item in value.items()}
    if isinstance(value, list) and arguments:
        one_kind = len(arguments) == 1 or arguments[1:] == (...,)
        kinds_of_items = arguments[:1] * len(value) if one_kind else arguments
        if len(kinds_of_items) == len(value):
            return [with_nans(item, each) for item, each in zip(value, kinds_of_items, strict=True)]
    return value
