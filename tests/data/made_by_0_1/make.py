"""Makes the files beside it: what hueprobe 0.1.0, commit b5dd07a, leaves on disk.

They were made once, and stay: `tests/test_made_by_0_1.py` shows that later code takes them up. With OLD a
checkout of that commit and NEW this one::

    PYTHONPATH=OLD:NEW python NEW/tests/data/made_by_0_1/make.py

So `hueprobe` comes from OLD, and `tests.exact_network` from NEW. Pictures are drawn from a hash, here and in
the tests; memories record their folders as /pictures and /more, which are of no machine.

A folder `*_goes_on` holds what the same work left that nobody stopped, as far as it is not in the other
folder already: what the stopped one must come to.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import numpy as np

COMMIT = "b5dd07ab611a7d19159f385b6451272f4f4bade3"
HERE = Path(__file__).parent
EXACT = "tests.exact_network:exact"
TRAINING = (
    "--backbone", "tests.exact_network:classifier", "--side", "24", "--crop", "20", "--batch-size", "6",
    "--device", "cpu",
)  # fmt: skip
TRAIN = ("--loss", "hue:eq5", "--optimizer", "sgd", "--learning-rate", "0.05", "--epochs", "4")
COMPARE = (
    "--losses", "onehot,hue:eq5", "--learning-rates", "0.01", "--epochs", "2", "--seeds", "1",
)  # fmt: skip


def build(path, pictures, **options):
    from hueprobe import build_memory

    return build_memory(path, pictures, backbone=EXACT, layer="3", device="cpu", **options)


@contextmanager
def neutral_roots():
    """Let memories record a folder of pictures by its name alone, below the root."""
    from hueprobe.memory.writer import MemoryWriter

    add = MemoryWriter.add_source

    def add_source(writer, table):
        add(writer, replace(table, roots=tuple(root and f"/{Path(root).name}" for root in table.roots)))

    with patch.object(MemoryWriter, "add_source", add_source):
        yield


def build_and_die(path, pictures):
    """End this process as SIGKILL would, when the second shard's vectors are written and not yet named."""
    from hueprobe.memory.writer import ShardWriter

    finish = ShardWriter.write_companions

    def write_companions(shard, start):
        if start > 0:
            shard._file.flush()
            os._exit(9)
        return finish(shard, start)

    with neutral_roots(), patch.object(ShardWriter, "write_companions", write_companions):
        build(path, pictures, batch_size=257)


def make_killed(work):
    from tests.exact_network import draw_pictures

    pictures = draw_pictures(work / "many" / "pictures", 135, classes="ab")
    command = [sys.executable, __file__, "die", HERE / "killed", pictures]
    assert subprocess.run(command, check=False).returncode == 9
    build(work / "whole", pictures, batch_size=257)
    for path in sorted((work / "whole").rglob("*")):
        name = path.relative_to(work / "whole")
        if path.is_file() and (name.name == "ledger.jsonl" or not (HERE / "killed" / name).exists()):
            (HERE / "killed_goes_on" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, HERE / "killed_goes_on" / name)


def make_searched(pictures, more):
    """A memory with its indexes, what they answered, and its match tables."""
    from hueprobe import KernelDensityClassifier, open_searcher
    from hueprobe.search import build_index

    memory = build(HERE / "pixels", pictures)
    ids = np.flatnonzero(memory.valid())[::5]
    queries, own = memory.vectors(ids), (ids // memory.grid.n_cells)[:, None]
    specs = ["annoy:trees=2,search_k=100000", "faiss:Flat"]
    for spec in specs:
        build_index(memory, spec)
    with patch("hueprobe.search.exact.fastest_format", lambda device: "int8"):  # whatever processor this is
        exact = open_searcher(memory, memory_budget=0)
    assert exact.codebook.file is not None
    wider = exact.search(queries, 6, exclude_images=own)
    clear = wider.distances[:, 5] - wider.distances[:, 4] > 1e-4  # no tie decides which 5 are the nearest
    queries, own, ids = queries[clear], own[clear], ids[clear]
    found = exact.search(queries, 5, exclude_images=own)
    for spec in specs:
        other = open_searcher(memory, spec).search(queries, 5, exclude_images=own)
        assert np.array_equal(found.ids, other.ids) and np.array_equal(found.distances, other.distances)
    answers = {"query": ids, "ids": found.ids, "distances": found.distances}
    left_out = KernelDensityClassifier(memory, k=3).leave_one_out()
    asked = KernelDensityClassifier(memory, k=3).classify(more)
    for name, result in (("left_out", left_out), ("asked", asked)):
        for field in ("predicted", "tie", "likelihood", "unnormalized", "n_matches"):
            answers[f"{name}_{field}"] = getattr(result, field)
    np.savez(HERE / "answers.npz", **answers)


def make_others(work, pictures, more):
    from hueprobe import KernelDensityClassifier, build_memories, memory_from_arrays, open_memory
    from hueprobe.memory import append_images, derive_memory
    from tests.exact_network import activations, draw_pictures

    build_memories(HERE / "layers", pictures, backbone=EXACT, layers=["1", "3"], device="cpu")
    few = draw_pictures(work / "few" / "pictures", 3)
    appended = build(HERE / "appended", few)
    append_images(appended.path, more)
    derive_memory(HERE / "pooled", open_memory(HERE / "pixels"), "gap")
    (few / "b" / "torn.png").write_bytes(b"\x89PNG\r\n")
    build(HERE / "torn", few)
    arrays = memory_from_arrays(
        HERE / "arrays", activations(6), ["b", "a", None, "b", "a", "b"],
        groups=["g", None, "g", "h", "h", None], names=[f"n{i}" for i in range(6)], dtype="float32",
    )  # fmt: skip
    matches = KernelDensityClassifier(arrays, k=2).leave_one_out().matches
    for ending in ("parquet", "arrow", "csv"):
        matches.save(HERE / f"matches.{ending}")


def command(*arguments):
    from click.testing import CliRunner

    from hueprobe.cli import main

    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@contextmanager
def stopped_at(name, epoch):
    """Stop as Ctrl-C would, before an epoch of the objective of a name."""
    from hueprobe.training import Objective

    begin = Objective.start_epoch

    def start_epoch(objective, number):
        if (objective.name, number) == (name, epoch):
            raise KeyboardInterrupt
        begin(objective, number)

    with patch.object(Objective, "start_epoch", start_epoch):
        yield


def make_training(work):
    import torch

    from tests.exact_network import draw_table

    table = draw_table(work / "training")
    train = ("train", table, *TRAINING, *TRAIN, "-o")
    with stopped_at("hue:eq5", 2):
        assert command(*train, HERE / "training").exit_code != 0
    assert command(*train, work / "trained").exit_code == 0
    (HERE / "training_goes_on").mkdir()
    shutil.copy(work / "trained" / "log.csv", HERE / "training_goes_on")
    state = torch.load(work / "trained" / "checkpoint.pt", weights_only=True)["state"]["objective"]
    flat = np.concatenate([value.numpy().ravel().astype(np.float32) for _, value in sorted(state.items())])
    np.save(HERE / "training_goes_on" / "weights.npy", flat)


def make_comparison(work):
    compare = ("compare", work / "training" / "table.csv", *TRAINING, *COMPARE, "-o")
    with stopped_at("hue:eq5", 1):
        assert command(*compare, HERE / "comparison").exit_code != 0
    assert command(*compare, work / "compared").exit_code == 0
    for sub in ("cells", "observed"):
        (HERE / "comparison_goes_on" / sub).mkdir(parents=True)
        for path in (work / "compared" / sub).glob("hue-eq5*"):
            shutil.copy(path, HERE / "comparison_goes_on" / sub)


def make_observed(work):
    """Observation 2 of one of the layers, without two of its cells; these lie in a folder of their own."""
    found = command(
        "observe", "accuracy", HERE / "layers.1", "--k", "3", "--device", "cpu", "-o", work / "observed"
    )
    assert found.exit_code == 0, found.output
    shutil.copytree(work / "observed" / "work", HERE / "observed" / "work")
    (HERE / "observed_goes_on").mkdir()
    shutil.copy(work / "observed" / "accuracy.csv", HERE / "observed_goes_on")
    cells = sorted((HERE / "observed").rglob("*.cell.json"))
    for cell in [
        path for path in cells if '"nearest centroid"' in path.read_text() or path.name[:3] == "gmp"
    ]:
        shutil.move(cell, HERE / "observed_goes_on")


def main():
    import hueprobe
    from tests.exact_network import draw_pictures

    old = Path(hueprobe.__file__).parents[1]
    at = subprocess.run(["git", "-C", old, "rev-parse", "HEAD"], check=True, capture_output=True, text=True)
    if at.stdout.strip() != COMMIT or old == HERE.parents[2]:
        sys.exit(f"{old} is not a checkout of {COMMIT}")
    for path in HERE.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path != Path(__file__):
            path.unlink()
    with tempfile.TemporaryDirectory() as folder, neutral_roots():
        work = Path(folder)
        pictures, more = draw_pictures(work / "pictures", 8), draw_pictures(work / "more", 2, classes="bcd")
        make_killed(work)
        make_searched(pictures, more)
        make_others(work, pictures, more)
        make_training(work)
        make_comparison(work)
        make_observed(work)


if __name__ == "__main__":
    if sys.argv[1:2] == ["die"]:
        build_and_die(*map(Path, sys.argv[2:]))
    main()
