"""The reader of all JSON in a memory: memory.json, the steps of the ledger, the headers of indexes."""

from collections.abc import Iterable
from typing import Annotated, Any, TypeVar

import msgspec

Count = Annotated[int, msgspec.Meta(ge=0)]
Sha256 = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]

_MOST_CHARACTERS = 80  # of a value in an error message


class Record(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A frozen record of named fields; the default of an optional field is `msgspec.UNSET`."""

    def to_json(self) -> dict[str, Any]:
        """Return the fields as values of JSON, without unset fields."""
        fields: dict[str, Any] = msgspec.to_builtins(self)
        return fields


R = TypeVar("R", bound=Record)


def one_of(names: Iterable[str]) -> msgspec.Meta:
    """Return the constraint that a string is one of some names: `Annotated[str, one_of(NAMES)]`."""
    return msgspec.Meta(pattern=rf"^({'|'.join(names)})\Z")


class RecordError(ValueError):
    """A document is not a valid record; the message follows the document's name."""


def as_record(document: Any, kind: type[R]) -> R:
    """Return a parsed JSON document as a record of this kind.

    Raises
    ------
    RecordError
        The document is not an object, or a field is missing, unknown, or of a wrong type or value.

    Examples
    --------
    >>> class Shape(Record):
    ...     channels: int
    >>> as_record({"channels": 3}, Shape)
    Shape(channels=3)
    >>> as_record({"channels": "3"}, Shape)
    Traceback (most recent call last):
    ...
    hueprobe.memory.records.RecordError: has channels '3', expected `int`, got `str`
    """
    try:
        return msgspec.convert(document, kind)
    except (msgspec.ValidationError, ValueError, RecursionError) as error:
        raise RecordError(_fault(document, kind) or _reason(error)) from None


def _fault(document: Any, kind: type[Record]) -> str | None:
    """Return which fields are invalid: all that are missing, or the first wrong one."""
    if not isinstance(document, dict):
        return "is not a JSON object"
    fields = {field.name: field for field in msgspec.structs.fields(kind)}
    if missing := sorted(name for name in fields if fields[name].required and name not in document):
        return f"has no {', '.join(missing)}"
    if unknown := sorted(map(str, document.keys() - fields.keys() - {kind.__struct_config__.tag_field})):
        return f"has the unknown field {unknown[0][:_MOST_CHARACTERS]!r}"
    for name, value in document.items():
        try:
            if name in fields:
                msgspec.convert(value, fields[name].type)
        except (msgspec.ValidationError, ValueError, RecursionError) as error:
            return f"has {name} {repr(value)[:_MOST_CHARACTERS]}, {_reason(error)}"
    return None


def _reason(error: Exception) -> str:
    text = str(error)
    return text[:1].lower() + text[1:]
