"""A parsed TOML document to a `Manifest`, with every key checked."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from hueprobe.datasets.fields import Fields, require_inside
from hueprobe.datasets.origin import licence_of, obtain_of, torchvision_of
from hueprobe.datasets.schema import (
    FORMATS,
    KINDS,
    PLANES,
    Counts,
    Fact,
    Layout,
    Manifest,
    SideTable,
    Slices,
)
from hueprobe.errors import ManifestError

# What a variant may say anew: of the layout it replaces the keys it names, anything else as a whole.
VARIANT_KEYS = (
    "title", "task", "torchvision", "layout", "tables", "class", "group", "split", "counts", "slices",
)  # fmt: skip
_FORMAT_OF = {".txt": "text", ".csv": "csv", ".mat": "mat"}
_MOST_SLICES = 10_000  # of one volume; each is a file
_CHECKSUM = re.compile(r"md5:[0-9a-f]{32}|sha256:[0-9a-f]{64}")


def parse_manifest(
    document: Mapping[str, Any], *, name: str, file: str, shipped: bool = False, variant: str | None = None
) -> Manifest:
    """Check a document and return what it says; its variants are checked as well.

    Parameters
    ----------
    document : mapping
        As tomllib gives it.
    name, file : str
        The set's name; the file, named in errors.
    shipped : bool
        Whether the manifest came with hueprobe.
    variant : str, optional
        Which other reading of the set is wanted.

    Raises
    ------
    ManifestError
        A key is unknown, missing, of the wrong type or out of its range, or keys contradict each other.
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
                f"{file}: variants.{other}.{unknown[0]}: a variant cannot say this; "
                f"allowed here: {', '.join(VARIANT_KEYS)}"
            )
        found[other] = _parse(_merged(plain, values), f"{file}, variant {other!r}")
    if variant not in found:
        known = f"choose one of: {', '.join(variants)}" if variants else "it has none; leave out the colon"
        raise ManifestError(f"{name!r} has no variant {variant!r}; {known}")
    return replace(
        found[variant],
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


def _parse(document: Mapping[str, Any], where: str) -> Manifest:
    """Return one reading of a document; `where` stands at the head of its errors."""
    top = Fields(document, file=where)
    counts = top.table("counts")
    manifest = Manifest(
        name="",
        file=where,
        shipped=False,
        title=top.text("title"),
        authors=top.texts("authors"),
        year=top.number("year", 0, minimum=1800) or None,
        citation=top.text("citation", ""),
        homepage=top.url("homepage", ""),
        task=top.text("task", ""),
        corrections=top.texts("corrections"),
        checked_against=top.texts("checked_against"),
        licence=licence_of(top.table("licence")),
        obtain=obtain_of(top.table("obtain")),
        torchvision=torchvision_of(top.table("torchvision")) if top.has("torchvision") else None,
        layout=_layout(top.table("layout")),
        tables=tuple(_side_table(fields) for fields in top.tables("tables")),
        class_=_fact(top.table("class"), "class"),
        group=_fact(top.table("group"), "group"),
        split=_fact(top.table("split"), "split"),
        counts=_counts(counts),
        checksums=_checksums(top),
        slices=_slices(top.table("slices")) if top.has("slices") else None,
        unverified=_unverified(top, document),
        variants=(),
    )
    top.close()
    _require_agreement(manifest, top, counts)
    return manifest


def _require_agreement(manifest: Manifest, top: Fields, counts: Fields) -> None:
    """Refuse keys that contradict each other."""
    layout, obtain = manifest.layout, manifest.obtain
    if layout.kind == "torchvision" and manifest.torchvision is None:
        top.fail("layout.kind", "is 'torchvision'; name the class in a table [torchvision]")
    if obtain.way == "torchvision" and manifest.torchvision is None:
        top.fail("obtain.way", "is 'torchvision'; name the class in a table [torchvision]")
    if layout.kind == "tables" and not manifest.tables:
        top.fail("layout.kind", "is 'tables'; describe at least one in [[tables]]")
    if (layout.kind == "volumes") != (manifest.slices is not None):
        top.fail("slices", "belongs to layout.kind 'volumes', and is needed there; give both or neither")
    expected = manifest.counts
    if expected.per_class:
        total = sum(expected.per_class.values())
        if expected.images is not None and total != expected.images:
            counts.fail("per_class", f"sums up to {total}, but counts.images is {expected.images}")
        if set(expected.per_class) != set(expected.class_names):
            counts.fail("per_class", "has other names than counts.class_names; leave that out")
    if expected.classes is not None and len(expected.class_names) not in (0, expected.classes):
        key = "per_class" if expected.per_class else "class_names"
        n_names = len(set(expected.class_names))
        counts.fail(key, f"names {n_names} classes, but counts.classes is {expected.classes}")
    if expected.images is not None and sum(expected.splits.values()) > expected.images:
        counts.fail("splits", f"sum up to more than counts.images, which is {expected.images}")


def _layout(fields: Fields) -> Layout:
    kind = fields.choice("kind", KINDS)
    needs_pattern = kind in ("pattern", "volumes")
    layout = Layout(
        kind=kind,
        folder=fields.path("folder", ""),
        images_folder=fields.path("pictures", ""),
        pattern=fields.regex("pattern", None if needs_pattern else ""),
        image_template=fields.text("picture", ""),
        exclude=fields.texts("exclude"),
        others_allowed=fields.flag("others_allowed", False),
    )
    if layout.pattern and kind in ("class_folders", "split_folders", "torchvision"):
        fields.fail("pattern", f"does not go with kind {kind!r}; use kind 'pattern'")
    if layout.image_template and kind != "tables":
        fields.fail("picture", f"does not go with kind {kind!r}; use kind 'tables'")
    if (bare := re.sub(r"\{\w+(?::0?\d{0,2}d)?\}", "x", layout.image_template)) and (
        why := require_inside(bare)
    ):
        fields.fail(
            "picture", f"{layout.image_template!r} is not allowed, {why}; write it as images/{{id:05d}}.jpg"
        )
    fields.close()
    return layout


def _side_table(fields: Fields) -> SideTable:
    file = fields.path("file")
    ending = file[file.rfind(".") :].lower() if "." in file else ""
    kind = fields.choice("format", FORMATS, _FORMAT_OF.get(ending, "text"))
    if kind == "text":
        columns = {column: str(i) for i, column in enumerate(fields.texts("columns", required=True))}
    else:
        columns = fields.mapping("columns")
    if not columns:
        fields.fail("columns", "name at least one column")
    table = SideTable(
        file=file,
        format=kind,
        columns=columns,
        number=fields.text("number", ""),
        constants=fields.mapping("set"),
    )
    if twice := set(columns) & {*table.constants, table.number}:
        fields.fail("columns", f"has {sorted(twice)[0]!r}, which `set` or `number` gives as well")
    fields.close()
    return table


def _fact(fields: Fields, column: str) -> Fact:
    fact = Fact(
        column=fields.text("column", column),
        names=fields.mapping("names"),
        every=fields.number("every", 0, minimum=1),
        number=fields.text("number", ""),
        in_order=fields.texts("in_order"),
    )
    if bool(fact.every) + bool(fact.number) + bool(fact.in_order) not in (0, 3):
        fields.fail("every", "goes with `number` and `in_order`; give all three or none")
    fields.close()
    return fact


def _counts(fields: Fields) -> Counts:
    known = fields.has("images"), fields.has("classes"), fields.has("each_class")
    counts = Counts(
        images=fields.number("images") if known[0] else None,
        classes=fields.number("classes") if known[1] else None,
        splits=fields.whole_numbers("splits"),
        each_class=fields.number("each_class") if known[2] else None,
        per_class=(per_class := fields.whole_numbers("per_class")),
        class_names=fields.texts("class_names") or tuple(per_class),
    )
    fields.close()
    return counts


def _checksums(top: Fields) -> dict[str, str]:
    checksums = top.mapping("checksums")
    for path, value in checksums.items():
        if why := require_inside(path):
            top.fail(f"checksums.{path}", f"the path is not allowed, {why}")
        if not _CHECKSUM.fullmatch(value):
            top.fail(
                f"checksums.{path}",
                f"{value!r} is no checksum; write md5: or sha256: and hex digits behind it",
            )
    return checksums


def _slices(fields: Fields) -> Slices:
    window = fields.raw("window", [])
    ends = [end for end in window if type(end) in (int, float)] if isinstance(window, list) else []
    if len(ends) != 2 or len(window) != 2 or not ends[0] < ends[1]:
        fields.fail("window", f"is {window!r}; give two rising numbers, black and white")
    slices = Slices(
        plane=fields.choice("plane", PLANES),
        spacing=fields.real("spacing", above=0),
        count=fields.number("count", minimum=1, maximum=_MOST_SLICES),
        window=(float(ends[0]), float(ends[1])),
        window_is_percentile=fields.choice("window_is", ("intensity", "percentile")) == "percentile",
    )
    if slices.window_is_percentile and not (ends[0] >= 0 and ends[1] <= 100):
        fields.fail("window", f"is {window!r}; percentiles lie between 0 and 100")
    fields.close()
    return slices


def _unverified(top: Fields, document: Mapping[str, Any]) -> tuple[str, ...]:
    keys = top.texts("unverified")
    for key in keys:
        value: Any = document
        for part in key.split("."):
            if isinstance(value, list):
                value = value[int(part)] if part.isdigit() and int(part) < len(value) else None
            else:
                value = value.get(part) if isinstance(value, dict) else None
        if value is None:
            top.fail("unverified", f"names {key!r}, but this manifest has no such key")
    return keys
