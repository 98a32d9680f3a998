"""Columns of arrays against the tuples that they stand for."""

import operator
import pickle
import warnings
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hueprobe.errors import HueprobeWarning, ImageError
from hueprobe.images import ImageTable, split_table
from hueprobe.images.columns import Column, NumberColumn, joined, number_column, text_column
from hueprobe.images.name_columns import name_column
from hueprobe.images.names import normal_name
from hueprobe.images.value_rows import ValueRows

WORDS = [
    "",
    "a",
    "b",
    "ab",
    "a\0",
    "caf\u00e9",
    "cafe\u0301",
    "\u732b",
    "\U0001f408",
    " a",
    "a\x1f",
    "a\u3000",
]
words = st.sampled_from([*WORDS, None])
of_words = st.tuples(st.sampled_from([text_column, name_column]), st.lists(words, max_size=12))
of_numbers = st.tuples(st.just(number_column), st.lists(st.integers(-(2**63), 2**63 - 1), max_size=12))
columns = st.one_of(of_words, of_words, of_numbers)


def outcome(work):
    """Return what a call returns, or the class of its error."""
    try:
        return work()
    except (IndexError, ValueError, TypeError) as error:
        return type(error)


@given(columns, st.data())
def test_a_column_is_like_the_tuple_of_its_values(made, data):
    make, values = made
    column, plain = make(values), tuple(values)
    if data.draw(st.booleans()):  # of a part of another column, whose names do not all occur
        longer = ("x", "a", None, *values, "a") if make is not number_column else (1, *values, 2)
        column, plain = make(longer), longer
        cut = slice(*data.draw(st.tuples(st.integers(0, 5), st.integers(0, 15))))
        column, plain = column[cut], plain[cut]
    assert (len(column), list(column), tuple(reversed(column))) == (len(plain), list(plain), plain[::-1])
    assert column == plain and plain == column and (column != plain, plain != column) == (False, False)
    assert hash(column) == hash(plain) and repr(column) == repr(plain) and column != list(plain)
    index = data.draw(st.integers(-15, 15))
    assert outcome(lambda: column[index]) == outcome(lambda: plain[index])
    end = st.none() | st.integers(-15, 15)
    part = slice(data.draw(end), data.draw(end), data.draw(st.sampled_from([None, 1, 2, -1, -3])))
    assert column[part] == plain[part] and type(column[part]) is type(column)
    value = data.draw(st.sampled_from([*plain, *WORDS, None, 7, 7.0, "\udc80", ()]))
    assert (value in column, column.count(value)) == (value in plain, plain.count(value))
    start, stop = data.draw(st.integers(-15, 15)), data.draw(st.integers(-15, 15))
    assert outcome(lambda: column.index(value, start, stop)) == outcome(
        lambda: plain.index(value, start, stop)
    )
    for a, b in ((column, plain), (plain, column), (column, column)):
        assert operator.add(a, b) == plain + plain
    again = pickle.loads(pickle.dumps(column))
    assert again == column and type(again) is type(column)
    assert pa.array(column).to_pylist() == list(plain)
    assert np.array(column, object).tolist() == list(plain)
    mask = np.array(data.draw(st.lists(st.booleans(), min_size=len(plain), max_size=len(plain))), bool)
    assert column.take(mask) == tuple(value for value, kept in zip(plain, mask, strict=True) if kept)
    rows = data.draw(st.lists(st.integers(0, len(plain) - 1), max_size=9)) if plain else []
    assert column.take(np.array(rows, int)) == tuple(plain[row] for row in rows)


@given(columns, st.lists(words, max_size=12) | st.lists(st.integers(0, 3), max_size=12))
def test_columns_are_equal_if_their_tuples_are(made, others):
    make, values = made
    if make is number_column:
        others = [value for value in others if isinstance(value, int)]
    else:
        others = [value for value in others if not isinstance(value, int)]
    for other in (others, values, values[::-1]):
        assert (make(values) == make(other)) == (values == other)
        assert joined([make(values), make(other), make(values)]) == (*values, *other, *values)
    if make is not number_column:
        assert text_column(values) == name_column(values) == text_column(values)


@given(st.lists(words, max_size=12), st.lists(words, max_size=12))
def test_names_are_counted_found_and_renamed(values, others):
    column = name_column([*others, *values])[len(others) :]
    there = set(values) - {None}
    assert set(column.occurring()) == there and len(column.occurring()) == len(there) == len(column.present())
    assert column.counts() == {value: values.count(value) for value in set(values)}
    order = [*dict.fromkeys(value for value in others if value is not None)]
    assert column.positions_in(order).tolist() == [order.index(v) if v in order else -1 for v in values]
    new = {"a": "b", "ab": None, "b": "caf\u00e9"}
    assert column.renamed(new) == tuple(new.get(value, value) for value in values)
    unusual = {name for name in [*values, *others] if name is not None and normal_name(name) != name}
    assert unusual <= set(column.unusual())  # only these are normalized


def test_long_columns_are_shown_by_their_first_values_and_read_in_steps():
    names = [f"{row:06d}" for row in range(70_000)]
    for column in (text_column(names), name_column(names)):
        assert repr(column) == "('000000', '000001', '000002', ..., '069999': 70,000 values)"
        assert list(column) == names
    assert list(number_column(range(70_000))) == list(range(70_000))


def test_columns_cannot_be_changed():
    column = name_column(["a"])
    with pytest.raises(TypeError):
        column[0] = "b"
    for numbers in (column.codes, number_column([1]).numbers):
        with pytest.raises(ValueError, match="read-only"):
            numbers[0] = 0


@given(st.lists(words, min_size=1, max_size=12), st.data())
def test_rows_of_a_value(values, data):
    rows = data.draw(st.lists(st.integers(0, len(values) - 1), unique=True).map(sorted))
    for column in (tuple(values), text_column(values), name_column(values)):
        found = ValueRows(column, np.array(rows, np.int64))
        found = pickle.loads(pickle.dumps(found)) if data.draw(st.booleans()) else found
        for value in [*WORDS, "unknown"]:
            assert found(value).tolist() == [row for row in rows if values[row] == value]
        of_rows = [values[row] for row in rows]
        shared = [row for row in rows if values[row] is not None and of_rows.count(values[row]) > 1]
        assert found.repeated().tolist() == shared


def test_values_of_one_hash_are_told_apart():
    class Same(str):
        def __hash__(self):
            return 0

    values = tuple(map(Same, "abab"))
    found = ValueRows(values, np.arange(4))
    assert found(Same("a")).tolist() == [0, 2] and found.repeated().tolist() == [0, 1, 2, 3]


# The table


def table_of(values, kind):
    n = len(values)
    columns = dict.fromkeys(("classes", "splits", "groups"), (None,) * n) | {kind: values}
    return ImageTable(tuple(f"{row}.png" for row in range(n)), ("/r",) * n, sizes=(-1,) * n, **columns)


@given(st.lists(words, max_size=8), st.sampled_from(["classes", "splits", "groups"]))
def test_names_are_normalized_as_one_by_one(values, kind):
    normal = [None if value is None else normal_name(value) or (None if value else "") for value in values]
    changed = {(old, new) for old, new in zip(values, normal, strict=True) if old != new}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        table = table_of(values, kind)
    assert getattr(table, kind) == tuple(normal)
    assert len(caught) == bool(changed)
    for warning in caught:
        assert warning.category is HueprobeWarning
        assert all(f"{old!a} is" in str(warning.message) for old, _ in sorted(changed, key=str)[:5])


@given(st.lists(st.sampled_from(["a", "b", "caf\u00e9", None]), min_size=1, max_size=10), st.data())
def test_a_table_is_selected_like_lists(values, data):
    table = table_of(values, data.draw(st.sampled_from(["classes", "splits"])))
    labels = list(table.classes)
    assert table.class_names == tuple(sorted({name for name in labels if name is not None}))
    assert table.labeled == (None not in labels)
    for split in set(table.splits) - {None}:
        rows = [row for row, name in enumerate(table.splits) if name == split]
        assert table.where_split(split) == table.select(rows)
        assert table.where_split(split).paths == tuple(table.paths[row] for row in rows)
    again = ImageTable.from_arrow(table.to_arrow())
    assert again == table and hash(again) == hash(table)
    assert ImageTable(*map(list, (getattr(table, name) for name in table.__match_args__[:6]))) == table
    other = table.select(data.draw(st.permutations(range(len(table)))))
    assert (other == table) == (other.to_arrow().to_pylist() == table.to_arrow().to_pylist())


@pytest.mark.parametrize("kind", ["string", "large_string", "dictionary", "chunks", "nulls"])
def test_any_arrow_strings_make_a_table(kind):
    names = ["a", None, "b", "a"]
    table = table_of(names if kind != "nulls" else [None] * 4, "classes")
    column = {
        "string": pa.array(names),
        "large_string": pa.array(names, pa.large_string()),
        "dictionary": pa.DictionaryArray.from_arrays([1, None, 2, 0], pa.array(["a", "a", "b"])),
        "chunks": pa.chunked_array([names[:1], [], names[1:]], pa.string()),
        "nulls": pa.nulls(4),
    }[kind]
    arrow = table.to_arrow().set_column(3, "class", column)
    assert ImageTable.from_arrow(arrow) == table


def test_a_name_that_is_no_unicode_is_named():
    with pytest.raises(ImageError, match=r"the name 'b\\udc80' is not valid UTF-8"):
        table_of(["a", "b\udc80", "c\udc80"], "groups")


@given(
    st.lists(
        st.tuples(st.sampled_from(["a", "b", "c", "d", None]), st.text("xyz/\u00e9\U0001f408", max_size=3))
    ),
    st.floats(0.01, 0.99),
    st.integers(0, 9),
)
def test_images_without_groups_are_split_like_groups_of_one(rows, train, seed):
    rows = rows or [("a", "x")]
    classes, paths = zip(*rows, strict=True)
    table = replace(table_of(classes, "classes"), paths=paths)
    alone = replace(table, groups=tuple(f"{row}" for row in range(len(rows))))
    found = []
    for one in (table, alone):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            found.append((split_table(one, train=train, seed=seed).splits, [str(w.message) for w in caught]))
    assert found[0] == found[1]


def test_a_kind_of_column_that_lacks_something_cannot_be_made():
    whole = {name: getattr(NumberColumn, name) for name in Column.__abstractmethods__}
    type("Whole", (Column,), whole)()
    assert {"take", "where", "joined", "_value", "_values", "_same"} <= set(whole)
    for name in whole:
        lacking = type("Lacking", (Column,), {one: value for one, value in whole.items() if one != name})
        with pytest.raises(TypeError, match=f"abstract.*{name}"):
            lacking()
