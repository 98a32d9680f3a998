"""The schema: what is refused, and that the message names file, key and what is allowed."""

import copy
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hueprobe.datasets.inside import require_inside
from hueprobe.datasets.parsing import parse_manifest
from hueprobe.errors import ManifestError
from tests.tiny_sets import minimal

FULL = minimal(
    year=2020,
    citation="A. Person. Shapes.",
    homepage="https://example.org/shapes",
    task="a test",
    corrections=["one is upside down"],
    checked_against=["the page"],
    unverified=["counts.images", "obtain.files.0.bytes"],
    licence={"name": "CC0", "access": "open", "conditions": "none", "url": "https://example.org"},
    obtain={
        "way": "download",
        "steps": ["or ask"],
        "files": [
            {
                "url": "http://example.org/a.tar?x=1",
                "bytes": 5,
                "md5": "0" * 32,
                "sha256": "a" * 64,
                "to": "s",
            }
        ],
    },
    torchvision={"class": "MNIST", "calls": {"train": {"train": True}}},
    layout={
        "kind": "pattern",
        "folder": "s",
        "pictures": "p/q",
        "pattern": "(?P<class>.)/.*",
        "exclude": ["x/*"],
        "others_allowed": True,
    },
    tables=[
        {"file": "a.txt", "columns": ["picture"], "set": {"split": "train"}},
        {"file": "b.csv", "columns": {"picture": "Path"}, "number": "n", "format": "csv"},
    ],
    split={"column": "split", "names": {"1": "train"}},
    group={"column": "g"},
    counts={"images": 3, "classes": 2, "splits": {"train": 2}, "per_class": {"a": 1, "b": 2}},
    checksums={"a.txt": "md5:" + "0" * 32},
    variants={"other": {"task": "another", "layout": {"exclude": []}, "counts": {"images": 9}}},
)
FULL["class"] = {"column": "class", "every": 5, "number": "n", "in_order": ["a", "b"]}


def parse(document, **options):
    return parse_manifest(document, name="shapes", file="shapes.toml", **options)


def changed(path, value):
    """Return the full document with one key set, or taken away where the value is `...`."""
    document = copy.deepcopy(FULL)
    *above, last = path.split(".")
    place = document
    for part in above:
        place = place[int(part)] if isinstance(place, list) else place.setdefault(part, {})
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return document


def test_everything_that_can_be_said_is_read():
    manifest = parse(FULL)
    assert manifest.name == "shapes" and manifest.year == 2020 and manifest.variants == ("other",)
    assert manifest.obtain.files[0].name == "a.tar" and manifest.obtain.files[0].unpack
    assert manifest.tables[0].sources == {"picture": "0"} and manifest.tables[1].key == "n"
    assert manifest.counts.class_names == ("a", "b")
    assert manifest.class_.in_order == ("a", "b")
    other = parse(FULL, variant="other")
    assert (other.name, other.task) == ("shapes:other", "another")
    assert other.layout.pattern == manifest.layout.pattern and other.layout.exclude == ()  # merged
    assert other.counts.images == 9 and not other.counts.per_class  # replaced as a whole


def test_the_least_is_enough():
    manifest = parse(minimal())
    assert manifest.class_.column == "class" and manifest.counts.images is None and not manifest.tables


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("titel", "x", r"titel: unknown key; did you mean 'title'\? Allowed here: .*title, authors"),
        ("layout.foldr", "x", r"layout\.foldr: unknown key; did you mean 'folder'\?"),
        ("obtain.files.0.md6", "x", r"obtain\.files\.0\.md6: unknown key"),
        ("tables.1.seperator", "x", r"tables\.1\.seperator: unknown key"),
        ("title", ..., "title: is missing; give a string"),
        ("title", 7, "title: is 7; give a string"),
        ("title", " ", "title: is ' '; give a string that is not empty"),
        ("authors", "A. Person", "authors: is 'A. Person'; give a list"),
        ("authors", ["A", 3], r"authors\.1: is 3; give a string that is not empty"),
        ("year", True, "year: is True; give a whole number"),
        ("year", 17, "year: is 17; give a whole number of 1800 or more"),
        ("homepage", "ftp://example.org", r"homepage: 'ftp://example.org' is not a URL"),
        ("licence", ..., "licence.name: is missing"),
        (
            "licence.access",
            "free",
            "licence.access: is 'free'; give one of: open, research only, on request, private",
        ),
        ("obtain.way", "magic", "obtain.way: is 'magic'; give one of: torchvision, download, by hand"),
        ("obtain.files", [], r"obtain.files: is missing; name each file in \[\[obtain.files\]\]"),
        ("obtain.files.0.url", "file:///etc/passwd", "obtain.files.0.url: .* is not a URL"),
        (
            "obtain.files.0.to",
            "../out",
            r"obtain.files.0.to: the path '../out' is not allowed, it has a part '..'",
        ),
        ("obtain.files.0.url", "http://example.org/", "obtain.files.0.name: no file name can be derived"),
        ("obtain.files.0.md5", "xyz", "obtain.files.0.md5: is 'xyz'; give 32 characters 0-9 a-f"),
        ("obtain.files.0.sha256", "0" * 63, "obtain.files.0.sha256: .* give 64 characters"),
        ("torchvision.class", "os.system", "torchvision.class: 'os.system' cannot be the name of a class"),
        ("torchvision.calls", {}, "torchvision.calls: give the arguments of each split"),
        (
            "torchvision.calls.train.root",
            "/",
            "torchvision.calls.train.root: leave it out; hueprobe sets it",
        ),
        (
            "torchvision.calls.train.transform",
            [1],
            r"torchvision.calls.train.transform: is \[1\]; give a string or a whole number",
        ),
        (
            "layout.kind",
            "folders",
            "layout.kind: is 'folders'; give one of: class_folders, split_folders, pattern",
        ),
        ("layout.folder", "/data", "layout.folder: the path '/data' is not allowed, it is absolute"),
        ("layout.folder", "C:/data", "it is absolute"),
        ("layout.folder", "a/" + 128 * "é", "too long for file systems"),
        ("layout.folder", 1001 * "a/" + "b", "too long for file systems"),
        ("layout.folder", "a/\ud800", "it contains a character that is not allowed"),
        ("layout.pictures", "a//b", "it has a part ''"),
        ("layout.pictures", "a\\b", "it contains a backslash"),
        ("layout.pattern", "(", r"layout.pattern: '\(' is not a valid regular expression"),
        ("layout.picture", "{id}.jpg", "layout.picture: does not go with kind 'pattern'"),
        ("tables.0.file", "../a.txt", "tables.0.file: the path '../a.txt' is not allowed"),
        ("tables.0.columns", [], "tables.0.columns: name at least one column"),
        ("tables.0.columns", {"id": "Id"}, "tables.0.columns: give a list of names for format 'text'"),
        ("tables.1.columns", ["id"], "tables.1.columns: give a table, .* for format 'csv'"),
        ("tables.1.columns", {"id": 3}, "tables.1.columns.id: is 3; give a string"),
        (
            "tables.0.set",
            {"picture": "x"},
            "tables.0.columns: has 'picture', which is also in `set` or `number`",
        ),
        ("tables", {"file": "a"}, "tables: is .*; give a list"),
        ("tables", ["a.txt"], "tables.0: is 'a.txt'; give a table"),
        ("class.every", 0, "class.every: is 0; give a whole number of 1 or more"),
        ("class.number", ..., "class.every: goes with `number` and `in_order`"),
        ("split.names", {"1": 2}, "split.names.1: is 2; give a string"),
        ("counts.images", -1, "counts.images: is -1; give a whole number of 0 or more"),
        ("counts.images", 4, "counts.per_class: sums up to 3, but counts.images is 4"),
        ("counts.classes", 3, "counts.per_class: names 2 classes, but counts.classes is 3"),
        ("counts.class_names", ["a", "c"], "counts.per_class: has other names than counts.class_names"),
        ("counts.splits.test", 2, "counts.splits: sum up to more than counts.images, which is 3"),
        ("counts.splits.train", "2", "counts.splits.train: is '2'; give a whole number"),
        (
            "checksums",
            {"../a": "md5:" + "0" * 32},
            r"checksums.../a: the path '../a' is not allowed, it has a part '..'",
        ),
        (
            "checksums",
            {"a": "0" * 32},
            "checksums.a: is '0000.*; give md5: or sha256: followed by hex digits",
        ),
        (
            "unverified",
            ["counts.wings"],
            "unverified: names 'counts.wings', but this manifest has no such key",
        ),
        ("unverified", ["tables.7"], "unverified: names 'tables.7'"),
        ("slices", {}, "slices.plane: is missing; give one of: axial, coronal, sagittal"),
        (
            "variants.other.licence",
            {},
            "variants.other.licence: a variant cannot set this key; allowed here: title",
        ),
        ("variants.other.layout", {"kind": "x"}, ", variant 'other': layout.kind"),
        ("variants.a b", {}, "variants.a b: name a variant with letters"),
        ("variants", 3, r"variants: write each as \[variants.NAME\]"),
    ],
)
def test_what_is_refused_and_in_what_words(path, value, said):
    with pytest.raises(ManifestError, match=rf"^shapes\.toml.*{said}"):
        parse(changed(path, value))


@pytest.mark.parametrize(
    ("slices", "said"),
    [
        ({"plane": "oblique"}, "slices.plane: is 'oblique'; give one of: axial, coronal, sagittal"),
        ({"spacing": 0}, "slices.spacing: is 0; give a number above 0"),
        ({"spacing": float("inf")}, "slices.spacing: is inf; give a number above 0"),
        ({"count": 0}, "slices.count: is 0; give a whole number from 1 to 10000"),
        ({"window": [5, 5]}, "slices.window: is .*; give two rising numbers"),
        ({"window": [5]}, r"slices.window: is \[5\]; give two rising numbers"),
        ({"spacing": 10**400}, "slices.spacing: is 10000.*; give a number above 0"),
        ({"window": [-1, 5]}, "slices.window: .* percentiles lie between 0 and 100"),
        ({"window_is": "percent"}, "slices.window_is: is 'percent'; give one of: intensity, percentile"),
    ],
)
def test_slices_are_checked(slices, said):
    whole = {"plane": "axial", "spacing": 2, "count": 3, "window": [1, 99], "window_is": "percentile"}
    layout = {"kind": "volumes", "pattern": r"(?P<subject>\d+)\.nii"}
    assert parse(minimal(layout=layout, slices=whole)).slices.spacing == 2.0
    with pytest.raises(ManifestError, match=said):
        parse(minimal(layout=layout, slices={**whole, **slices}))


def test_kinds_need_what_they_need():
    for layout, said in (
        ({"kind": "torchvision"}, "name the class in a table"),
        ({"kind": "tables"}, "describe at least one"),
        ({"kind": "volumes", "pattern": "."}, "is required for layout.kind 'volumes'"),
        ({"kind": "pattern"}, "layout.pattern: is missing"),
        ({"kind": "class_folders", "pattern": "."}, "does not go with kind 'class_folders'"),
    ):
        with pytest.raises(ManifestError, match=said):
            parse(minimal(layout=layout))
    with pytest.raises(ManifestError, match=r"layout.picture: '../\{id\}' is not allowed"):
        parse(
            minimal(
                layout={"kind": "tables", "picture": "../{id}"}, tables=[{"file": "a", "columns": ["id"]}]
            )
        )


def test_an_unknown_variant_is_told_with_those_there_are():
    with pytest.raises(ManifestError, match="'shapes' has no variant 'third'; choose one of: other"):
        parse(FULL, variant="third")
    with pytest.raises(ManifestError, match="it has none; leave out the colon"):
        parse(minimal(), variant="third")


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
PLACES = [
    *FULL,
    *(f"{key}.{inner}" for key, values in FULL.items() if isinstance(values, dict) for inner in values),
    *(f"tables.{i}.{key}" for i in (0, 1) for key in FULL["tables"][i]),
    *(f"obtain.files.0.{key}" for key in FULL["obtain"]["files"][0]),
]


@given(st.sampled_from(PLACES), JUNK)
def test_junk_anywhere_is_either_read_or_refused_in_our_words(path, value):
    said = ""
    try:
        parse(changed(path, value))
    except ManifestError as error:
        said = str(error)
    assert not said or said.startswith("shapes.toml")


@given(st.lists(st.sampled_from(["a", "b.jpg", "..", ".", "", "/", "c d"]), max_size=5).map("/".join))
def test_a_path_that_is_let_through_stays_inside(path):
    joined = os.path.normpath(os.path.join("/base", path))
    if require_inside(path) is None:
        assert joined.startswith("/base/")
        assert joined == f"/base/{path}"
