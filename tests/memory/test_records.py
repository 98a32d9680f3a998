"""The one reader of what a memory keeps as JSON: what it takes, and what it says of what it does not."""

import json
from typing import Annotated

import msgspec
import numpy as np
import pytest

from hueprobe import memory_from_arrays
from hueprobe.errors import SearcherError
from hueprobe.memory.headers import IndexHeader, read_header, write_header
from hueprobe.memory.records import Count, Record, RecordError, as_record
from hueprobe.search import build_index


class Shape(Record, frozen=True, tag_field="kind", tag="shape"):
    """A record with a field that may be absent."""

    name: str
    size: Count
    grid: tuple[Annotated[int, msgspec.Meta(ge=1)], int]
    scale: float | msgspec.UnsetType = msgspec.UNSET


WHOLE = {"kind": "shape", "name": "a", "size": 3, "grid": [2, 5]}


@pytest.mark.parametrize("document", [WHOLE, {**WHOLE, "scale": 0.5}])
def test_a_record_goes_back_to_the_json_it_came_from(document):
    record = as_record(document, Shape)
    assert (record.name, record.size, record.grid) == ("a", 3, (2, 5))
    assert json.loads(json.dumps(record.to_json())) == document


def test_a_record_cannot_be_changed():
    with pytest.raises(AttributeError):
        as_record(WHOLE, Shape).size = 4


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ([1], "is not a JSON object"),
        ({"kind": "shape", "grid": [2, 5]}, "has no name, size"),
        ({**WHOLE, "sizes": 3}, "has the unknown field 'sizes'"),
        ({**WHOLE, "size": -1}, "has size -1, expected `int` >= 0"),
        ({**WHOLE, "size": True}, "has size True, expected `int`, got `bool`"),
        ({**WHOLE, "size": 3.0}, "has size 3.0, expected `int`, got `float`"),
        ({**WHOLE, "name": None}, "has name None, expected `str`, got `null`"),
        ({**WHOLE, "grid": [2, 5, 1]}, "has grid [2, 5, 1], expected `array` of length 2, got 3"),
        ({**WHOLE, "grid": [0, 5]}, "has grid [0, 5], expected `int` >= 1 - at `$[0]`"),
        ({**WHOLE, "scale": "1"}, "has scale '1', expected `float`, got `str`"),
        ({**WHOLE, "name": ["x" * 999]}, f"has name ['{'x' * 78}, expected `str`, got `array`"),
        ({**WHOLE, "kind": "size"}, "invalid value 'size' - at `$.kind`"),
    ],
)
def test_what_is_wrong_is_said(document, says):
    with pytest.raises(RecordError) as caught:
        as_record(document, Shape)
    assert str(caught.value) == says


@pytest.mark.parametrize("value", ["\ud800", 10**4000, float("nan"), [[]] * 9])
@pytest.mark.parametrize("name", ["name", "size", "grid", "scale", "kind", "\ud800"])
def test_whatever_a_field_holds_is_taken_or_refused(name, value):
    document, fault = {**WHOLE, name: value}, None
    try:
        record = as_record(document, Shape)
    except RecordError as error:
        fault = str(error)
    if fault is None:
        assert json.dumps(record.to_json()) == json.dumps(document)
    else:
        assert 10 < len(fault) < 250


@pytest.fixture
def index(tmp_path):
    memory = memory_from_arrays(tmp_path / "m", np.eye(4, dtype=np.float32)[:, :, None, None])
    build_index(memory, "faiss:Flat")
    return tmp_path / "m" / "indexes" / "faiss-Flat"


def test_the_header_of_an_index_has_typed_fields(index):
    header = read_header(index)
    assert isinstance(header, IndexHeader)
    assert (header.spec, header.file, header.n_vectors, header.n_channels) == (
        "faiss:Flat", "index.faiss", 4, 4,
    )  # fmt: skip
    assert header.size == (index / header.file).stat().st_size
    before = (index / "index.json").read_bytes()
    write_header(index, header)
    assert (index / "index.json").read_bytes() == before


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"size": -1}, "it has size -1, expected `int` >= 0"),
        ({"recall_at_10": {"": 1.5}}, "it has recall_at_10 {'': 1.5}, expected `float` <= 1.0"),
        ({"library": {"faiss": 1}}, "it has library {'faiss': 1}, expected `str`, got `int`"),
        ({"file": "../index.faiss"}, "it has file '../index.faiss', expected `str` matching regex"),
    ],
)
def test_a_header_that_no_index_has_is_refused(index, changes, says):
    write_header(index, msgspec.structs.replace(read_header(index), **changes))
    with pytest.raises(SearcherError, match="is damaged: it has") as caught:
        read_header(index)
    assert says in str(caught.value) and "build the index again" in str(caught.value)
