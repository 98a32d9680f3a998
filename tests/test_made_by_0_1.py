"""What hueprobe 0.1.0 left on disk is opened, asked and continued by the code of today.

It lies in tests/data/made_by_0_1, and no test changes it. The memories' network computes in whole numbers, so
their bytes are the same on every processor.
"""

import csv
import io
import json
import shutil
from dataclasses import fields
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from click.testing import CliRunner

from hueprobe import (
    KernelDensityClassifier,
    build_memories,
    build_memory,
    memory_from_arrays,
    open_memory,
    open_searcher,
    read_matches,
)
from hueprobe.cli import main
from hueprobe.errors import HueprobeWarning, SearcherError
from hueprobe.memory import append_images, derive_memory, verify_memory
from tests.exact_network import activations, draw_pictures, draw_table

MADE = Path(__file__).parent / "data" / "made_by_0_1"
MEMORIES = ("pixels", "layers.1", "layers.3", "appended", "pooled", "arrays", "torn")
EXACT = "tests.exact_network:exact"
SPECS = ("exact", "annoy:trees=2,search_k=100000", "faiss:Flat")
TRAINING = (
    "--backbone", "tests.exact_network:classifier", "--side", "24", "--crop", "20", "--batch-size", "6",
    "--device", "cpu",
)  # fmt: skip
TRAIN = ("--loss", "hue:eq5", "--optimizer", "sgd", "--learning-rate", "0.05", "--epochs", "4")
COMPARE = (
    "--losses", "onehot,hue:eq5", "--learning-rates", "0.01", "--epochs", "2", "--seeds", "1",
)  # fmt: skip


def copied(folder, *names):
    """Copy what was made into a folder; return the copy of the last name."""
    for name in names:
        shutil.copytree(MADE / name, folder / name)
    return folder / names[-1]


def contents(folder):
    """Return {name: bytes} of all files below a folder, locks left out."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "lock"
    }


def build(path, pictures, **options):
    return build_memory(path, pictures, backbone=EXACT, layer="3", device="cpu", **options)


def command(*arguments):
    found = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert found.exit_code == 0, found.output
    return found


def parquet_writer():
    """Return what the pyarrow that is installed says of itself in each file."""
    file = io.BytesIO()
    pq.write_table(pa.table({"a": [1]}), file)
    return pq.ParquetFile(file).metadata.created_by


def require_same(folder, old):
    """Compare a memory with the files it should have, byte for byte.

    Parquet files name the pyarrow that wrote them: under another one their tables are compared, and the
    ledger, which holds their hashes, is left to `verify_memory`.
    """
    assert verify_memory(folder).ok
    new = contents(folder)
    assert new.keys() == old.keys()
    different = [name for name in new if new[name] != old[name]]
    if pq.ParquetFile(folder / "source.parquet").metadata.created_by == parquet_writer():
        assert different == []
    for name in different:
        assert name == "ledger.jsonl" or (
            name.endswith(".parquet")
            and pq.read_table(io.BytesIO(new[name])).equals(pq.read_table(io.BytesIO(old[name])))
        )


@pytest.fixture
def pictures(tmp_path):
    return draw_pictures(tmp_path / "pictures", 8)


@pytest.fixture
def few(tmp_path):
    return draw_pictures(tmp_path / "pictures", 3)


@pytest.fixture
def more(tmp_path):
    return draw_pictures(tmp_path / "more", 2, classes="bcd")


@pytest.fixture(scope="module")
def answers():
    return np.load(MADE / "answers.npz")


@pytest.mark.parametrize("name", MEMORIES)
def test_a_memory_is_whole_and_stays_as_it_is(tmp_path, name):
    folder = copied(tmp_path, name)
    found = verify_memory(folder)
    assert found.ok and found.n_files >= 5
    memory = open_memory(folder)
    assert memory.complete and len(memory.images) == len(memory.records) == memory.n_images
    lengths = np.linalg.norm(memory.vectors(np.arange(memory.n_slots)), axis=1)
    np.testing.assert_allclose(lengths, memory.valid(), atol=1e-6)
    assert contents(folder) == contents(MADE / name)


def test_classes_groups_and_pictures_are_read(tmp_path, pictures):
    assert open_memory(MADE / "appended").classes == ("a", "b", "c", "d")
    arrays = open_memory(MADE / "arrays")
    assert arrays.classes == ("a", "b") and arrays.image_class.tolist() == [1, 0, -1, 1, 0, 1]
    assert arrays.images.groups == ("g", None, "g", "h", "h", None) and arrays.images.paths[5] == "n5"
    torn = open_memory(MADE / "torn")
    assert [torn.images.paths[i] for i in np.flatnonzero(~torn.readable)] == ["b/torn.png"]
    assert torn.records["reason"][6].as_py()
    table = open_memory(MADE / "pixels").images
    assert set(table.roots) == {"/pictures"}
    moved = table.relocated(pictures)
    assert [moved.file(i).stat().st_size for i in range(len(moved))] == list(table.sizes)


@pytest.mark.parametrize("spec", SPECS)
def test_a_search_finds_the_same(tmp_path, answers, spec):
    """By each index that lies beside the memory; exact search takes the file of rounded vectors."""
    folder = copied(tmp_path, "pixels")
    memory = open_memory(folder)
    options = {"memory_budget": 0, "products": "int8"} if spec == "exact" else {}
    searcher = open_searcher(memory, spec, build=False, **options)
    own = answers["query"][:, None] // memory.grid.n_cells
    found = searcher.search(memory.vectors(answers["query"]), 5, exclude_images=own)
    np.testing.assert_array_equal(found.ids, answers["ids"])
    np.testing.assert_allclose(found.distances, answers["distances"], rtol=1e-12)
    assert contents(folder) == contents(MADE / "pixels")


def test_the_file_of_rounded_vectors_is_read(tmp_path):
    """Exact search would answer without it too, so only a damaged one shows."""
    folder = copied(tmp_path, "pixels")
    (codes,) = folder.rglob("codes.bin")
    codes.write_bytes(codes.read_bytes()[:-1] + b"\x7f")
    memory = open_memory(folder)
    with pytest.raises(SearcherError, match="damaged"):
        open_searcher(memory, memory_budget=0, products="int8").search(memory.vectors(np.arange(3)), 2)


def test_a_classification_is_the_same(answers, more):
    """Of the memory's own pictures, and of others, by the network that its settings name."""
    classifier = KernelDensityClassifier(open_memory(MADE / "pixels"), k=3)
    for name, result in (("left_out", classifier.leave_one_out()), ("asked", classifier.classify(more))):
        for field in ("predicted", "tie", "n_matches"):
            np.testing.assert_array_equal(getattr(result, field), answers[f"{name}_{field}"])
        for field in ("likelihood", "unnormalized"):
            np.testing.assert_allclose(getattr(result, field), answers[f"{name}_{field}"], rtol=1e-9)


def test_a_killed_build_goes_on_to_the_same_bytes(tmp_path):
    """It was killed when the second shard's vectors were written, and had no name yet."""
    pictures = draw_pictures(tmp_path / "pictures", 135, classes="ab")
    folder = copied(tmp_path, "killed")
    partial = "shards/000001.vectors.npy.partial"
    assert (folder / partial).exists() and not verify_memory(folder).ok
    assert open_memory(folder).n_images == 257
    build(folder, pictures)
    kept = {name: data for name, data in contents(MADE / "killed").items() if name != partial}
    require_same(folder, {**kept, **contents(MADE / "killed_goes_on")})


def test_a_killed_append_goes_on_to_the_same_bytes(tmp_path, more):
    folder = copied(tmp_path, "appended")
    lines = (folder / "ledger.jsonl").read_bytes().splitlines(keepends=True)
    assert [json.loads(line)["step"] for line in lines[-3:]] == ["append", "shard", "complete"]
    (folder / "ledger.jsonl").write_bytes(b"".join(lines[:-2]) + lines[-2][:40])
    for path in (folder / "shards").glob("000001.*"):
        path.unlink()
    append_images(folder, more)
    require_same(folder, contents(MADE / "appended"))


def test_the_same_call_again_changes_nothing(tmp_path, pictures, more):
    copied(tmp_path, "pixels", "layers.1", "layers.3", "pooled", "appended", "arrays")
    pixels = build(tmp_path / "pixels", pictures)
    build_memories(tmp_path / "layers", pictures, backbone=EXACT, layers=["1", "3"], device="cpu")
    derive_memory(tmp_path / "pooled", pixels, "gap")
    append_images(tmp_path / "appended", more)
    memory_from_arrays(
        tmp_path / "arrays", activations(6), ["b", "a", None, "b", "a", "b"],
        groups=["g", None, "g", "h", "h", None], names=[f"n{i}" for i in range(6)], dtype="float32",
    )  # fmt: skip
    for name in ("pixels", "layers.1", "layers.3", "pooled", "appended", "arrays"):
        assert contents(tmp_path / name) == contents(MADE / name)


def test_the_same_call_with_an_unreadable_picture_changes_nothing(tmp_path, few):
    (few / "b" / "torn.png").write_bytes(b"\x89PNG\r\n")
    assert build(copied(tmp_path, "torn"), few).readable.sum() == 9
    assert contents(tmp_path / "torn") == contents(MADE / "torn")


def test_the_same_vectors_are_made_anew(tmp_path, pictures):
    """So what is appended or asked tomorrow is measured as what was stored then."""
    build_memories(tmp_path / "new", pictures, backbone=EXACT, layers=["1", "3"], device="cpu")
    for layer in ("1", "3"):
        for file in ("shards/000000.vectors.npy", "shards/000000.energy.npy"):
            old = MADE / f"layers.{layer}" / file
            assert (tmp_path / f"new.{layer}" / file).read_bytes() == old.read_bytes()


@pytest.mark.parametrize("ending", ["parquet", "arrow", "csv"])
def test_a_match_table_is_read_and_the_same_is_found(ending):
    """It holds the rows alone: no grid, no groups."""
    with pytest.warns(HueprobeWarning, match="no groups, and a grid of 2x3.*the memory's own images; 0 that"):
        old = read_matches(MADE / f"matches.{ending}")
    new = KernelDensityClassifier(open_memory(MADE / "arrays"), k=2).leave_one_out().matches
    assert -1 in old.query_class and -1 in old.match_class
    assert old.classes == new.classes and old.image_group == (None,) * 6
    for name in {field.name for field in fields(new)} - {"image_group", "query_image_group"}:
        one, other = getattr(old, name), getattr(new, name)
        if name in ("distance", "weight"):
            np.testing.assert_allclose(one, other, rtol=1e-12)
        else:
            assert np.array_equal(one, other)


def numbers_of(log):
    """Return the rows of a log.csv as numbers, times left out."""
    with log.open() as file:
        rows = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
    return [{k: v for k, v in row.items() if k not in ("seconds", "images_per_second")} for row in rows]


@pytest.mark.slow
def test_a_stopped_training_goes_on_to_the_same_numbers(tmp_path):
    """To the bit on the processor that made them; others round otherwise, hence the tolerance."""
    folder = copied(tmp_path, "training")
    command("train", draw_table(tmp_path / "table" / "training"), *TRAINING, *TRAIN, "-o", folder)
    new, old = numbers_of(folder / "log.csv"), numbers_of(MADE / "training_goes_on" / "log.csv")
    assert new[:2] == old[:2] == numbers_of(MADE / "training" / "log.csv")
    for row, other in zip(new, old, strict=True):
        right = other.pop("test_accuracy")
        assert row.pop("test_accuracy") == pytest.approx(right, abs=1.5 / 18)  # of 18 pictures, one
        assert row == pytest.approx(other, rel=1e-3)
    assert pq.read_table(folder / "log.parquet").num_rows == 4
    checkpoint = torch.load(folder / "checkpoint.pt", weights_only=True)
    assert checkpoint["epochs_done"] == 4
    state = sorted(checkpoint["state"]["objective"].items())
    weights = np.concatenate([value.numpy().ravel().astype(np.float32) for _, value in state])
    np.testing.assert_allclose(
        weights, np.load(MADE / "training_goes_on" / "weights.npy"), rtol=1e-3, atol=1e-4
    )


@pytest.mark.slow
def test_a_stopped_comparison_goes_on_and_trains_no_finished_run_again(tmp_path):
    folder = copied(tmp_path, "comparison")
    path = folder / "running" / "hue-eq5_seed0_test_lr0.01" / "checkpoint.pt"
    checkpoint = torch.load(path, weights_only=True)
    checkpoint["log"][0]["test_accuracy"] = 0.125  # what stands there only if the run is continued
    torch.save(checkpoint, path)
    table = draw_table(tmp_path / "table" / "training")
    said = command("compare", table, *TRAINING, *COMPARE, "--json", "-o", folder)
    assert [entry["loss"] for entry in json.loads(said.stdout)["losses"]] == ["onehot", "hue:eq5"]
    for name in ("cells/onehot_seed0_test_lr0.01.json", "observed/onehot_seed0_test_lr0.01_test20.json"):
        assert (folder / name).read_bytes() == (MADE / "comparison" / name).read_bytes()  # seconds too
    assert not list((folder / "running").iterdir()) and len(list((folder / "cells").iterdir())) == 2
    for sub in ("cells", "observed"):
        (old,) = (MADE / "comparison_goes_on" / sub).iterdir()
        require_same_run(json.loads((folder / sub / old.name).read_bytes()), json.loads(old.read_bytes()))


def require_same_run(new, old):
    """Compare two runs' files; numbers of a network that was trained vary a little with the processor."""
    assert new.keys() == old.keys()
    if "numbers" in old:
        assert new["numbers"].keys() == old["numbers"].keys() and new["grid"] == old["grid"]
        return
    assert new["curve"][0] == 0.125 and new["curve"][1] == pytest.approx(old["curve"][1], abs=1.5 / 18)
    assert new["train_loss"] == pytest.approx(old["train_loss"], rel=1e-3)
    assert new["shares"] == pytest.approx(old["shares"], rel=1e-3)
    assert abs(new["n_right"] - old["n_right"]) <= 1 and new["robustness"].keys() == old["robustness"].keys()
    for name in ("loss", "seed", "fold", "learning_rate", "n_test", "n_parameters", "n_extra"):
        assert new[name] == old[name]


def accuracies(text):
    """Return an accuracy.csv's rows but those of `flat`: what is told, and the limits of intervals."""
    rows = [row for row in csv.DictReader(io.StringIO(text)) if row["descriptor"] != "flat"]
    assert all(row.pop("alone in their class", "0") == "0" for row in rows)  # a column since 0.2
    return rows, [float(row.pop(limit)) for row in rows for limit in ("low", "high")]


@pytest.mark.slow
def test_kept_cells_of_accuracy_are_taken_up_and_lacking_ones_made_the_same(tmp_path):
    copied(tmp_path, "layers.1", "observed")
    work = tmp_path / "observed" / "work" / "layers.1-accuracy"
    (flat,) = work.glob("flat-*.cell.json")
    altered = json.loads(flat.read_bytes())
    altered["right"] = [True] * len(altered["right"])
    flat.write_text(json.dumps(altered))
    before = contents(work)
    options = ("--k", "3", "--device", "cpu", "-o", tmp_path / "observed")
    command("observe", "accuracy", tmp_path / "layers.1", *options)
    added = contents(MADE / "observed_goes_on")
    rows, limits = accuracies(added.pop("accuracy.csv").decode())
    assert contents(work) == {**before, **added} and len(added) == 2
    new = (tmp_path / "observed" / "accuracy.csv").read_text()
    # The last digit of a limit is SciPy's, which was not asked then.
    assert accuracies(new) == (rows, pytest.approx(limits, rel=1e-12))
    flat = [row for row in csv.DictReader(io.StringIO(new)) if row["descriptor"] == "flat"]
    assert [row["accuracy"] for row in flat] == ["1.0"]
