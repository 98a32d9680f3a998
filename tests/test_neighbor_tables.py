"""Neighbors for other tools, in the format that Embedding Atlas and FiftyOne document."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import hueprobe as hp
from hueprobe.errors import InputError


@pytest.fixture
def memory(small_memory):
    return small_memory(n=6, classes="ab")


def check_format(table):
    """Check what the tools document: dictionaries of equally long lists, ids of rows, ascending distances."""
    for value in table["neighbors"].to_pylist():
        assert set(value) == {"ids", "distances"} and len(value["ids"]) == len(value["distances"])
        assert all(isinstance(i, int) and 0 <= i < table.num_rows for i in value["ids"])
        assert len(set(value["ids"])) == len(value["ids"])
        assert value["distances"] == sorted(value["distances"])
    assert table.schema.field("prediction").type == pa.struct(
        [("label", pa.string()), ("confidence", pa.float64())]
    )
    assert table.schema.field("ground_truth").type == pa.struct([("label", pa.string())])


def test_leave_one_out_against_a_loop(memory, tmp_path):
    result = hp.KernelDensityClassifier(memory, k=4).leave_one_out()
    hp.NeighborTable([result]).save(tmp_path / "n.parquet")
    table = pq.read_table(tmp_path / "n.parquet")
    check_format(table)
    assert table.num_rows == 6 and table["image"].to_pylist() == list(memory.images.paths)
    matches = result.matches
    for row, value in enumerate(table["neighbors"].to_pylist()):
        weights = {}
        for i in np.flatnonzero(matches.query_image == row):
            weights[int(matches.image[i])] = weights.get(int(matches.image[i]), 0) + matches.weight[i]
        assert row not in value["ids"] and set(value["ids"]) == set(weights)
        total = sum(weights.values())
        expected = [1 - weights[i] / total for i in value["ids"]]
        np.testing.assert_allclose(value["distances"], expected)
    for i, prediction in enumerate(table["prediction"].to_pylist()):
        assert prediction["label"] == result.predicted_class[i]
        assert prediction["confidence"] == result.likelihood[i].max()
    assert table["ground_truth"].to_pylist() == [{"label": name} for name in memory.images.classes]
    assert table["filepath"].to_pylist() == [None] * 6  # these images are no files


def test_batches_give_the_same_table(memory, monkeypatch):
    whole = hp.NeighborTable([hp.KernelDensityClassifier(memory, k=4).leave_one_out()]).to_arrow()
    monkeypatch.setattr("hueprobe.query_source._LEAVE_ONE_OUT_VECTORS", 2 * memory.grid.n_cells)
    batches = list(hp.KernelDensityClassifier(memory, k=4).leave_one_out_batches())
    assert len(batches) == 3
    assert hp.NeighborTable(batches).to_arrow().equals(whole)


def test_query_images_follow_the_memory(memory):
    values = np.random.default_rng(1).random((2, 4, 2, 3))
    result = hp.KernelDensityClassifier(memory, k=4).classify_activations(
        values, names=["x", "y"], classes=["a", None]
    )
    table = hp.NeighborTable([result]).to_arrow()
    check_format(table)
    assert table["image"].to_pylist()[6:] == ["x", "y"]
    assert table["prediction"].to_pylist()[:6] == [None] * 6
    assert all(value["ids"] == [] for value in table["neighbors"].to_pylist()[:6])
    assert all(value["ids"] and max(value["ids"]) < 6 for value in table["neighbors"].to_pylist()[6:])
    assert table["ground_truth"].to_pylist()[6:] == [{"label": "a"}, None]


def test_file_paths_are_absolute(tmp_path):
    from PIL import Image

    for name in "ab":
        (tmp_path / "images" / name).mkdir(parents=True)
        Image.new("RGB", (30, 30), (9 * ord(name) % 255, 99, 3)).save(tmp_path / "images" / name / "1.png")
    memory = hp.build_memory(
        tmp_path / "m", tmp_path / "images", backbone="tests.tiny_network:tiny", layer="3"
    )
    table = hp.NeighborTable([hp.KernelDensityClassifier(memory, k=2).leave_one_out()]).to_arrow()
    assert [Path(path) for path in table["filepath"].to_pylist()] == [
        (tmp_path / "images" / name / "1.png").resolve() for name in "ab"
    ]


def test_refusals(memory, tmp_path):
    result = hp.KernelDensityClassifier(memory, k=4).leave_one_out()
    with pytest.raises(InputError, match=r"use the extension \.parquet"):
        hp.NeighborTable([result]).save(tmp_path / "n.csv")
    result.save(tmp_path / "r.json")
    with pytest.raises(InputError, match="no match table"):
        hp.NeighborTable([hp.Classification.load(tmp_path / "r.json")])
    with pytest.raises(InputError, match="no classifications to join"):
        hp.NeighborTable().to_arrow()
