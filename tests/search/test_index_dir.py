"""Indexes that lie elsewhere than beside their memory, which nobody may write to."""

import json
import os
import shlex
import shutil

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from hueprobe import KernelDensityClassifier, build_memory, open_memory, open_searcher
from hueprobe.cli import main
from hueprobe.errors import SearcherError, StorageError
from hueprobe.memory import append_images, memory_from_arrays, verify_memory
from hueprobe.search import build_index, tune_searcher
from hueprobe.search.exact import blocks
from hueprobe.search.index import recall_of
from tests.tiny_network import tiny

SPECS = ("annoy:trees=2", "faiss:IVF4,Flat;nprobe=2")


def draw(folder, classes="ab", n=6, seed=0):
    rng = np.random.default_rng(seed)
    for c, name in enumerate(classes):
        (folder / name).mkdir(parents=True)
        for i in range(n):
            values = rng.integers(0, 120, (24, 24, 3))
            values[..., c] += 120
            Image.fromarray(values.astype(np.uint8)).save(folder / name / f"{i}.png")
    return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Images and their memory by the command, which every test copies."""
    folder = tmp_path_factory.mktemp("made")
    draw(folder / "images")
    network = ("--backbone", "tests.tiny_network:tiny", "--layer", "3", "--device", "cpu")
    run("index", folder / "images", "-o", folder / "m", *network)
    return folder


@pytest.fixture
def frozen(made, tmp_path):
    """A memory whose folder takes no index, no lock and no other file, from root neither."""
    shutil.copytree(made / "m", tmp_path / "frozen")
    (tmp_path / "frozen" / "lock").unlink()
    (tmp_path / "frozen" / "lock").mkdir()  # it can be opened by nobody
    (tmp_path / "frozen" / "indexes").write_text("")
    before = contents(tmp_path / "frozen")
    yield tmp_path / "frozen"
    assert contents(tmp_path / "frozen") == before


def contents(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def run(*arguments, code=0):
    result = CliRunner().invoke(main, [str(a) for a in arguments])
    assert result.exit_code == code, result.output + repr(result.exception)
    return result


@pytest.mark.parametrize("spec", SPECS)
def test_an_index_elsewhere_answers_as_one_beside_the_memory(frozen, made, tmp_path, spec):
    memory = open_memory(frozen)
    with pytest.raises(StorageError, match="--index-dir"):
        open_searcher(memory, spec)
    shutil.copytree(made / "m", tmp_path / "m")
    beside = open_searcher(open_memory(tmp_path / "m"), spec)
    searcher = open_searcher(memory, spec, index_dir=tmp_path / "there")
    vectors = memory.image_vectors(np.arange(2)).reshape(-1, memory.n_channels)
    np.testing.assert_array_equal(searcher.search(vectors, 5).ids, beside.search(vectors, 5).ids)
    assert recall_of(searcher) == recall_of(beside)
    (where,) = (tmp_path / "there").iterdir()
    headers = [
        json.loads(next(folder.rglob("index.json")).read_bytes()) for folder in (where, tmp_path / "m")
    ]
    assert headers[0] == headers[1] and len(headers[0]["recall_at_10"]) == 1


def test_what_is_there_is_read_and_not_built_again(frozen, tmp_path):
    memory = open_memory(frozen)
    with pytest.raises(SearcherError, match="has no index"):
        open_searcher(memory, SPECS[0], index_dir=tmp_path / "i", build=False)
    build_index(memory, SPECS[0], index_dir=tmp_path / "i")
    (file,) = (tmp_path / "i").rglob("index.annoy")
    before = file.stat().st_mtime_ns
    KernelDensityClassifier(memory, searcher=SPECS[0], k=2, index_dir=tmp_path / "i").leave_one_out()
    assert file.stat().st_mtime_ns == before


def test_memories_may_share_the_folder_and_a_renamed_copy_of_one_reads_no_others(tmp_path):
    network, transform = tiny()
    options = {"backbone": network, "transform": transform, "layer": "3", "device": "cpu"}
    memories = []
    for seed in (0, 1):
        images = draw(tmp_path / f"images{seed}", seed=seed)
        memories.append(build_memory(tmp_path / str(seed) / "same.memory", images, **options))
    found = [open_searcher(m, "faiss:Flat", index_dir=tmp_path / "i") for m in memories]
    assert len(list((tmp_path / "i").iterdir())) == 2
    for memory, searcher in zip(memories, found, strict=True):
        own = memory.image_vectors(np.arange(1))[0]
        assert (searcher.search(own, 1).distances < 1e-6).all()
    append_images(
        memories[0].path, draw(tmp_path / "more", seed=2), **{k: options[k] for k in options if k != "layer"}
    )
    with pytest.raises(SearcherError, match="another state"):
        open_searcher(open_memory(memories[0].path), "faiss:Flat", index_dir=tmp_path / "i")
    build_index(open_memory(memories[0].path), "faiss:Flat", index_dir=tmp_path / "i")
    open_searcher(open_memory(memories[0].path), "faiss:Flat", index_dir=tmp_path / "i")


def test_quantized_vectors_lie_there_too(frozen, tmp_path, monkeypatch):
    memory = open_memory(frozen)
    monkeypatch.setattr(blocks.QuantizedVectors, "wants_file", True)
    open_searcher(memory, index_dir=tmp_path / "i")
    (codes,) = (tmp_path / "i").rglob("*.bin")
    assert codes.name == "codes.bin"
    vectors = memory.vectors(memory.valid())  # fewer than a sample holds
    assert json.loads((codes.parent / "index.json").read_text())["nonzero"] == (vectors != 0).mean()


@pytest.mark.parametrize("command", ["query", "evaluate", "observe"])
def test_commands_take_the_folder(frozen, made, tmp_path, command):
    there = tmp_path / "there"
    image = made / "images" / "a" / "0.png"
    arguments = {
        "query": [frozen, image, "--k", 3, "--json"],
        "evaluate": [frozen, "--leave-one-out", "--k", 3, "--json"],
        "observe": ["locations", frozen, "--k", 3, "-o", tmp_path / "o", "--json"],
    }[command]
    searcher = ["--searcher", SPECS[0]]
    refused = run(command, *arguments, *searcher, code=1)
    assert "--index-dir" in refused.stderr
    first = run(command, *arguments, *searcher, "--index-dir", there)
    assert len(list(there.rglob("index.annoy"))) == 1
    again = run(command, *arguments, *searcher, "--index-dir", there)
    assert "building it" not in again.stderr
    if command == "query":
        assert again.stdout == first.stdout and str(there) in first.stderr


def test_index_builds_it_there(made, tmp_path):
    shutil.copytree(made / "m", tmp_path / "m")
    command = [
        "index",
        made / "images",
        "-o",
        tmp_path / "m",
        "--backbone",
        "tests.tiny_network:tiny",
        "--layer",
        3,
    ]
    run(
        *command,
        "--searcher",
        SPECS[0],
        "--searcher",
        SPECS[1],
        "--index-dir",
        tmp_path / "i",
        "--device",
        "cpu",
    )
    assert sorted(f.name for f in (tmp_path / "i").rglob("index.*") if f.suffix != ".json") == [
        "index.annoy",
        "index.faiss",
    ]
    assert not (tmp_path / "m" / "indexes").exists() and verify_memory(tmp_path / "m").ok
    assert "--searcher" in run(*command, "--index-dir", tmp_path / "i", code=2).stderr


def test_tune_writes_elsewhere(frozen, tmp_path):
    specs = [word for spec in SPECS for word in ("--searcher", spec)]
    tuning = ["tune", frozen, *specs, "--queries", 20, "--k", 2]
    assert "--index-dir" in run(*tuning, code=1).stderr
    shown = run(*tuning, "-o", tmp_path / "out")
    assert "faiss:IVF4" in shown.stdout and str(tmp_path / "out") in shown.stderr
    assert sorted(os.listdir(tmp_path / "out")) == ["tuning.json", "tuning.pdf", "tuning.png"]
    assert "--index-dir" in run(*tuning, "--keep", "-o", tmp_path / "out", code=1).stderr
    run(*tuning, "--index-dir", tmp_path / "i")
    assert not list((tmp_path / "i").rglob("*"))


def test_what_tune_keeps_is_what_it_recommends_to_use(frozen, tmp_path, monkeypatch):
    monkeypatch.setattr("hueprobe.search.tuning._fastest", lambda trials, recall: trials[-1])
    shown = run(
        "tune", frozen, "--searcher", "annoy:trees=2", "--queries", 20, "--k", 2, "--keep", "--index-dir",
        tmp_path / "my indexes",
    ).stdout  # fmt: skip
    (line,) = [line for line in shown.splitlines() if "hueprobe evaluate" in line]
    words = shlex.split(line.replace("IMAGES", "--leave-one-out"))[1:]
    assert "building" not in run(*words, "--k", 2).stderr
    tuning = tune_searcher(
        open_memory(frozen), specs=["annoy:trees=2"], n_queries=20, k=2, index_dir=tmp_path / "i", keep=True
    )
    assert open_searcher(open_memory(frozen), tuning.trials[-1].spec, index_dir=tmp_path / "i", build=False)


# --- Where there is nothing to measure recall by ---


@pytest.mark.parametrize("spec", [SPECS[0], "faiss:Flat"])
@pytest.mark.parametrize("kind", ["one image", "zeros"])
def test_recall_that_cannot_be_measured_is_null(tmp_path, spec, kind):
    if kind == "one image":
        network, transform = tiny()
        path = build_memory(
            tmp_path / "m",
            draw(tmp_path / "images", "a", 1),
            backbone=network,
            transform=transform,
            layer="3",
        ).path
    else:
        path = memory_from_arrays(tmp_path / "m", np.zeros((3, 4, 2, 2), np.float32), ["a", "b", "a"]).path
    memory = open_memory(path)
    for _ in range(2):  # measured, and read
        assert np.isnan(recall_of(open_searcher(memory, spec)))
    (header,) = path.rglob("index.json")
    assert json.loads(header.read_text(), parse_constant=pytest.fail)["recall_at_10"] == {"default": None}
    assert verify_memory(path).ok
    assert "not measurable" in run("info", path).stdout
    assert "NaN" not in run("info", path, "--json").stdout
