"""Conversion of a parsed TOML document to a `Manifest`, with every key checked."""

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from hueprobe.datasets.manifest import Document, Manifest
from hueprobe.datasets.records import Misfit, as_record
from hueprobe.errors import ManifestError

# Keys that a variant may override. In the layout it replaces single keys, elsewhere the whole value.
VARIANT_KEYS = (
    "title", "task", "torchvision", "layout", "tables", "class", "group", "split", "counts", "slices",
    "masks",
)  # fmt: skip


def parse_manifest(
    document: Mapping[str, Any], *, name: str, file: str, shipped: bool = False, variant: str | None = None
) -> Manifest:
    """Check a document, including all its variants, and return the manifest.

    Parameters
    ----------
    document : mapping
        Parsed TOML from tomllib.
    name, file : str
        Name of the data set, and its file, for messages.
    shipped : bool, default=False
        Whether the manifest comes with hueprobe.
    variant : str, optional
        Variant to return; None for the main one.

    Raises
    ------
    ManifestError
        If a key is unknown, missing, of the wrong type or out of range, or if keys contradict each other.
    """
    variants = document.get("variants", {})
    if not isinstance(variants, dict) or not all(isinstance(value, dict) for value in variants.values()):
        raise ManifestError(f"{file}: variants: write each as [variants.NAME] with its keys below")
    plain = {key: value for key, value in document.items() if key != "variants"}
    found = {None: _parse(plain, file)}
    for other, values in variants.items():
        if not re.fullmatch(r"[\w.-]+", other):
            raise ManifestError(
                f"{file}: variants.{other}: name a variant with letters, digits, - and _ only"
            )
        if unknown := [key for key in values if key not in VARIANT_KEYS]:
            raise ManifestError(
                f"{file}: variants.{other}.{unknown[0]}: a variant cannot set this key; "
                f"allowed here: {', '.join(VARIANT_KEYS)}"
            )
        found[other] = _parse(_merged(plain, values), f"{file}, variant {other!r}")
    if variant not in found:
        known = f"choose one of: {', '.join(variants)}" if variants else "it has none; leave out the colon"
        raise ManifestError(f"{name!r} has no variant {variant!r}; {known}")
    said = {field.name: getattr(found[variant], field.name) for field in msgspec.structs.fields(Document)}
    return Manifest(
        **said,
        name=f"{name}:{variant}" if variant else name,
        file=file,
        shipped=shipped,
        variants=tuple(variants),
    )


def _merged(plain: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(plain)
    for key, value in values.items():
        merges = key == "layout" and isinstance(value, dict)
        merged[key] = {**plain.get(key, {}), **value} if merges else value
    return merged


def _parse(document: Mapping[str, Any], where: str) -> Document:
    """Return the record of a document; its errors begin with `where`."""
    try:
        found = as_record(document, Document)
    except Misfit as error:
        raise ManifestError(f"{where}: {error}") from None
    for key in found.unverified:
        if _value_at(document, key) is None:
            raise ManifestError(f"{where}: unverified: names {key!r}, but this manifest has no such key")
    return found


def _value_at(document: Mapping[str, Any], key: str) -> Any:
    """Return the value at a dotted key, None if there is none."""
    value: Any = document
    for part in key.split("."):
        if isinstance(value, list):
            value = value[int(part)] if part.isdecimal() and int(part) < len(value) else None
        else:
            value = value.get(part) if isinstance(value, dict) else None
    return value
