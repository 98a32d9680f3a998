"""The match table as a file: what was saved is loaded, and what a file lacks is said."""

import csv
import json
import sys
from dataclasses import fields, replace

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import hueprobe as hp
from hueprobe.errors import HueprobeWarning, InputError, MissingDependencyError
from hueprobe.grid import Grid
from hueprobe.match_files import COLUMNS, MatchWriter, read_match_groups, read_match_metadata
from hueprobe.match_images import MatchImages
from hueprobe.matches import Matches

WHOLE = ("parquet", "arrow")
names = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)  # no lone surrogates: no UTF-8
groups = st.none() | names


@st.composite
def match_tables(draw, *, from_row=0):
    """Any match table, with images that no row names, and matches of several images mixed."""
    classes = tuple(draw(st.lists(names, max_size=3, unique=True)))
    grids = [Grid(draw(st.integers(1, 3)), draw(st.integers(1, 3))) for _ in range(2)]
    sides = []
    for _ in range(2):
        paths = draw(st.lists(names, min_size=1, max_size=4))
        n = len(paths)
        codes = draw(st.lists(st.integers(-1, len(classes) - 1), min_size=n, max_size=n))
        sides.append(
            (tuple(paths), np.array(codes, np.int64), tuple(draw(st.lists(groups, min_size=n, max_size=n))))
        )
    if draw(st.booleans()):
        sides[1] = sides[0]
    n = draw(st.integers(from_row, 5))

    def column(kind, least, most):
        return np.array(draw(st.lists(st.integers(least, most), min_size=n, max_size=n)), kind)

    numbers = st.lists(st.floats(0, 1e9), min_size=n, max_size=n)
    return Matches(
        grids[0], grids[1], classes, *sides[0], *sides[1],
        query_image=column(np.int64, 0, len(sides[0][0]) - 1),
        query_y=column(np.int32, 0, grids[1].height - 1), query_x=column(np.int32, 0, grids[1].width - 1),
        rank=column(np.int32, 1, 2**31 - 1),
        image=column(np.int64, 0, len(sides[1][0]) - 1),
        y=column(np.int32, 0, grids[0].height - 1), x=column(np.int32, 0, grids[0].width - 1),
        distance=np.array(draw(numbers), float), weight=np.array(draw(numbers), float),
    )  # fmt: skip


def require_equal(found, expected, among):
    for name in among:
        one, other = getattr(found, name), getattr(expected, name)
        if isinstance(other, np.ndarray):
            assert one.dtype == other.dtype and one.flags.writeable
            np.testing.assert_array_equal(one, other)
        else:
            assert one == other, name


IMAGE_FIELDS = [field.name for field in fields(MatchImages)]
ROW_FIELDS = [field.name for field in fields(Matches) if field.name not in IMAGE_FIELDS]
hypothesis_settings = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.mark.parametrize("ending", WHOLE)
@given(matches=match_tables())
@hypothesis_settings
def test_what_is_saved_is_loaded(tmp_path, ending, matches):
    path = tmp_path / f"m.{ending}"
    matches.save(path)
    found = hp.read_matches(path)
    require_equal(found, matches, IMAGE_FIELDS + ROW_FIELDS)
    require_equal(Matches.from_arrow(matches.to_arrow()), matches, IMAGE_FIELDS + ROW_FIELDS)


@given(matches=match_tables(from_row=1))
@hypothesis_settings
def test_a_csv_file_gives_its_rows_and_what_they_name(tmp_path, matches):
    path = tmp_path / "m.csv"
    matches.save(path)
    with pytest.warns(HueprobeWarning, match="no image tables"):
        found = hp.read_matches(path, grid=Grid(3, 3))
    require_equal(found, matches, ROW_FIELDS)
    assert found.grid == found.query_grid == Grid(3, 3)
    assert list(found.classes) == sorted(set(found.classes)) and set(found.classes) <= set(matches.classes)
    for row in range(len(matches)):
        query, image = matches.query_image[row], matches.image[row]
        assert found.query_paths[query] == matches.query_paths[query]
        assert found.image_paths[image] == matches.image_paths[image]
    for name in ("query_class", "match_class"):
        old, new = getattr(matches, name), getattr(found, name)
        assert [found.classes[c] if c >= 0 else None for c in new] == [
            matches.classes[c] if c >= 0 else None for c in old
        ]
    assert set(found.query_image_group) <= {None} and set(found.image_group) <= {None}


def small(**changes):
    """Leave-one-out of three images on a grid of 2 x 3; the last image has no class and matches nothing."""
    paths, labels, own = ("a/1", "b/2", "3"), np.array([1, 0, -1]), (None, "g", "g")
    table = Matches(
        grid=Grid(2, 3), query_grid=Grid(2, 3), classes=("b", "a"), query_paths=paths,
        query_image_class=labels, query_image_group=own, image_paths=paths, image_class=labels,
        image_group=own, query_image=np.array([0, 0, 1]), query_y=np.array([0, 1, 1], np.int32),
        query_x=np.array([2, 0, 0], np.int32), rank=np.array([1, 1, 1], np.int32),
        image=np.array([1, 2, 0]), y=np.array([0, 0, 1], np.int32), x=np.array([1, 1, 0], np.int32),
        distance=np.array([0.5, 0.25, 1.0]), weight=np.array([0.375, 0.25, 0.1]),
    )  # fmt: skip
    return replace(table, **changes)


@pytest.mark.parametrize("ending", ["parquet", "arrow", "csv"])
def test_parts_make_one_file_that_is_loaded_whole(tmp_path, ending):
    whole = small()
    with MatchWriter(tmp_path / f"parts.{ending}") as writer:
        for rows in ([0], [1, 2], []):
            writer.write(whole.select(np.array(rows, int)))
    if ending == "csv":
        with pytest.warns(HueprobeWarning):
            found = Matches.load(tmp_path / "parts.csv")
        require_equal(found, whole, ROW_FIELDS)
    else:
        require_equal(Matches.load(tmp_path / f"parts.{ending}"), whole, IMAGE_FIELDS + ROW_FIELDS)
        table = pq.read_table if ending == "parquet" else lambda path: pa.ipc.open_file(path).read_all()
        assert tuple(table(tmp_path / f"parts.{ending}").column_names) == COLUMNS


def test_queries_that_are_the_memorys_own_are_known_again_without_image_tables(tmp_path):
    """Else intervals would take one image in two roles for two images."""
    small().save(tmp_path / "own.csv")
    with pytest.warns(
        HueprobeWarning,
        match=r"no groups, and a grid of 2x3.*the memory's own images; no row gives path and class of 0",
    ):
        own = Matches.load(tmp_path / "own.csv")
    assert own.query_paths == own.image_paths == ("a/1", "b/2", "3")
    assert own.classes == ("a", "b") and own.query_image_class.tolist() == [0, 1, -1]
    small(query_paths=("x", "y", "z")).save(tmp_path / "other.csv")
    with pytest.warns(HueprobeWarning, match="other images; no row gives path and class of 0"):
        other = Matches.load(tmp_path / "other.csv")
    assert other.query_paths == ("x", "y") and other.image_paths == ("a/1", "b/2", "3")


def test_images_that_no_row_names_are_counted_and_have_no_class(tmp_path):
    small(query_paths=("x", "y", "z")).select(np.array([2])).save(tmp_path / "m.csv")
    with pytest.warns(HueprobeWarning, match="no row gives path and class of 1"):
        found = Matches.load(tmp_path / "m.csv")
    assert found.query_paths == ("", "y") and found.query_image_class.tolist() == [-1, 1]


def test_a_table_that_a_spreadsheet_wrote_is_read(tmp_path):
    """Without quotes, columns in another order, a class named NA."""
    table = small(classes=("NA", "a")).to_arrow().to_pydict()
    with (tmp_path / "m.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(reversed(COLUMNS))
        writer.writerows(zip(*(table[name] for name in reversed(COLUMNS)), strict=True))
    with pytest.warns(HueprobeWarning):
        found = Matches.load(tmp_path / "m.csv")
    assert found.classes == ("NA", "a") and found.to_arrow().to_pydict() == table


def test_plain_strings_and_wide_integers_of_other_tools_are_read(tmp_path):
    table = small().to_arrow()
    wide = {name: pa.int64() for name in ("query_y", "query_x", "rank", "y", "x")}
    strings = dict.fromkeys(("query_path", "query_class", "path", "class"), pa.large_string())
    table = table.cast(
        pa.schema(
            [f.with_type({**wide, **strings}.get(f.name, f.type)) for f in table.schema],
            table.schema.metadata,
        )
    )
    pq.write_table(table, tmp_path / "m.parquet")
    require_equal(Matches.load(tmp_path / "m.parquet"), small(), IMAGE_FIELDS + ROW_FIELDS)


def changed_json(**changes):
    table = small().to_arrow()
    document = json.loads(table.schema.metadata[b"hueprobe.match_images"])
    return table.replace_schema_metadata({"hueprobe.match_images": json.dumps({**document, **changes})})


def with_column(name, values):
    table = small().to_arrow()
    return table.set_column(table.column_names.index(name), name, pa.array(values))


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (small().to_arrow().drop_columns(["y", "rank"]), "one column rank, one y"),
        (with_column("rank", [1, 0, 1]), "rank of the table holds 0; its smallest valid value is 1"),
        (with_column("image", [1, -2, 0]), "image of the table holds -2"),
        (with_column("x", [1, None, 0]), "x of the table has 1 missing values"),
        (with_column("x", [1.5, 1, 0]), "x of the table should hold int32"),
        (with_column("distance", [1.0, float("nan"), 1]), "distance of the table"),
        (with_column("weight", [-1.0, 1, 1]), "weight of the table"),
        (with_column("y", [0, 2, 0]), "y up to 2 and x up to 1, outside a grid of 2x3"),
        (with_column("query_path", ["a/1", "a/2", "b/2"]), "image 0 more than one query_path"),
        (with_column("query_path", ["a/1", "a/1", None]), "query_path of the table has missing values"),
        (with_column("class", ["a", None, "a"]), r"image 1 is \('b/2', 'a'\).*\('b/2', 'b'\)"),
        (with_column("image", [1, 3, 0]), r"image 3 is \('3', None\).*but None"),
        (changed_json(grid=[0, 3]), "damaged .*at least one row"),
        (changed_json(version=2), "version 2"),
        (changed_json(classes=["a"]), "a class has no name"),
        (changed_json(memory={"paths": ["a"], "classes": [], "groups": []}), "of an image is missing"),
        (changed_json(memory={}), "damaged"),
        (small().to_arrow().replace_schema_metadata({"hueprobe.match_images": "{"}), "damaged"),
        (small().to_arrow(with_images=False).slice(0, 0), "no rows from which to infer the grid"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(table, message):
    with pytest.raises(InputError, match=message):
        Matches.from_arrow(table)


def test_a_grid_that_contradicts_the_file_is_refused(tmp_path):
    small().save(tmp_path / "m.parquet")
    with pytest.raises(InputError, match="holds a grid of 2x3, but grid= is 7x7"):
        Matches.load(tmp_path / "m.parquet", grid=Grid(7, 7))
    small().save(tmp_path / "m.csv")
    with pytest.raises(InputError, match="outside a grid of 1x3"), pytest.warns(HueprobeWarning):
        Matches.load(tmp_path / "m.csv", grid=Grid(1, 3))


@pytest.mark.parametrize("ending", ["parquet", "arrow", "csv"])
@pytest.mark.parametrize("data", [None, b"", b"\x00\xff\xfe nonsense\n\x80", b"a,b\n1\n"])
def test_files_that_hold_no_matches_are_refused_in_one_sentence(tmp_path, ending, data):
    path = tmp_path / f"m.{ending}"
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(InputError, match="m\\.") as refused:
        Matches.load(path)
    assert "\n" not in str(refused.value)


def test_names_that_are_no_text_are_refused():
    bad = pa.Array.from_buffers(
        pa.string(), 3, [None, pa.py_buffer(np.int32([0, 1, 2, 3])), pa.py_buffer(b"a\xffb")]
    )
    with pytest.raises(InputError, match="not UTF-8"):
        Matches.from_arrow(with_column("path", bad))


def test_a_parquet_file_does_not_repeat_the_names_of_all_images(tmp_path):
    """Each group of rows has a dictionary of its own: with the names of its rows, not of a million images."""
    names = tuple(f"a rather long name of an image {i}" for i in range(5_000))
    many = small(
        image_paths=names, image_class=np.full(5_000, -1), image_group=(None,) * 5_000,
        query_paths=names, query_image_class=np.full(5_000, -1), query_image_group=(None,) * 5_000,
    )  # fmt: skip
    sizes = []
    for n in (1, 21):
        with MatchWriter(tmp_path / "m.parquet") as writer:
            for _ in range(n):
                writer.write(many)
        sizes.append((tmp_path / "m.parquet").stat().st_size)
    assert (sizes[1] - sizes[0]) / 20 < 10_000  # the names alone have 170,000 bytes
    require_equal(Matches.load(tmp_path / "m.parquet").select(np.arange(3)), many, IMAGE_FIELDS + ROW_FIELDS)


@pytest.mark.parametrize("ending", WHOLE)
def test_a_file_is_read_in_the_groups_that_it_was_written_in(tmp_path, ending):
    with MatchWriter(tmp_path / f"m.{ending}", metadata={b"more": b"said"}) as writer:
        writer.write(small())
        writer.write(small().select(np.array([2])))
    groups = list(read_match_groups(tmp_path / f"m.{ending}", ("rank", "image")))
    assert [group.num_rows for group in groups] == [3, 1]
    assert pa.concat_tables(groups).to_pydict() == {"rank": [1, 1, 1, 1], "image": [1, 2, 0, 0]}
    assert read_match_metadata(tmp_path / f"m.{ending}")[b"more"] == b"said"
    assert len(Matches.load(tmp_path / f"m.{ending}")) == 4
    with pytest.raises(InputError, match=r"m\..* should have one column nonsense; its columns are query_im"):
        list(read_match_groups(tmp_path / f"m.{ending}", ("nonsense",)))


def test_a_csv_file_has_neither_groups_nor_metadata(tmp_path):
    small().save(tmp_path / "m.csv")
    assert read_match_metadata(tmp_path / "m.csv") == {}
    with pytest.raises(InputError, match=r"m\.csv is not read in groups"):
        list(read_match_groups(tmp_path / "m.csv", ("rank",)))


def test_an_unknown_ending_is_refused(tmp_path):
    for action in (Matches.load, small().save):
        with pytest.raises(InputError, match=r"m\.xlsx.*\.parquet, \.arrow, \.csv"):
            action(tmp_path / "m.xlsx")


def test_a_data_frame_has_the_columns(monkeypatch):
    pytest.importorskip("pandas")
    frame = small().to_pandas()
    assert tuple(frame.columns) == COLUMNS and frame["path"].tolist() == ["b/2", "3", "a/1"]
    assert frame["class"].isna().tolist() == [False, True, False] and frame["distance"].sum() == 1.75
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingDependencyError, match="pip install pandas"):
        small().to_pandas()
