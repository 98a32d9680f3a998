"""No NaN reaches a JSON document, wherever it is written, and null is read back as what it was."""

import ast
import json
import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import hueprobe
from hueprobe import memory_from_arrays
from hueprobe.cli import main
from hueprobe.json_documents import json_text, plain, with_nans
from hueprobe.studies import LossRun
from hueprobe.studies.run_store import RunStore

ROOT = Path(hueprobe.__file__).parent
# What one process of hueprobe says to another, and text of which only the hash is kept.
NO_DOCUMENTS = {"images/decoding.py", "datasets/mat_files.py", "datasets/drafting.py", "datasets/volumes.py"}
HASHED = {"studies/run_store.py": 1}


def strict(text):
    return json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} in {text[:200]}"))


def json_calls(source):
    """Return the calls of json.dump and json.dumps that let NaN pass."""
    return [
        node.lineno
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in ("dump", "dumps")
        and ast.unparse(node.func.value) == "json"
        and not any(k.arg == "allow_nan" and ast.unparse(k.value) == "False" for k in node.keywords)
    ]


def test_every_writer_of_json_leaves_nan_out():
    assert json_calls("import json\njson.dumps({})\njson.dumps(1, allow_nan=False)") == [2]
    found = {}
    for path in [*ROOT.rglob("*.py"), *(ROOT.parent / "benchmarks").glob("*.py")]:
        name = path.relative_to(ROOT if path.is_relative_to(ROOT) else ROOT.parent).as_posix()
        if (lines := json_calls(path.read_text())) and name not in NO_DOCUMENTS:
            found[name] = len(lines)
    found.pop("benchmarks/loss_comparison.py", None)  # reads its own text again, without NaN
    assert found == HASHED


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, np.float32("nan"), np.float64("inf")])
def test_what_json_does_not_know_is_null_at_any_depth(value):
    document = {"a": [1, {"b": (value, 2.5)}], "c": np.array([0.5, value]), 3: Path("x")}
    assert strict(json_text(document)) == {"a": [1, {"b": [None, 2.5]}], "c": [0.5, None], "3": "x"}
    assert plain(value) is None


@dataclass(frozen=True)
class Inner:
    shares: tuple[float, ...]
    pair: tuple[int, float]


@dataclass(frozen=True)
class Run:
    mean: float
    name: str | None
    low: float | None
    by_class: dict[str, float]
    inner: Inner
    several: list[Inner]
    maybe: Inner | None = None


def test_null_is_read_as_nan_where_a_number_is_wanted(tmp_path):
    nan = math.nan
    run = Run(nan, None, None, {"a": nan, "b": 1.0}, Inner((0.5, nan), (1, nan)), [Inner((), (2, 0.25))])
    store = RunStore(tmp_path, Run)
    store.write("r", run)
    strict(store.path("r").read_text())
    read = store.read("r")
    assert repr(read) == repr(run)  # NaN is not equal to itself
    old = store.path("r").read_text().replace('"mean": null', '"mean": NaN')
    store.path("r").write_text(old)  # as version 0.1 wrote it
    assert repr(store.read("r")) == repr(run)
    assert with_nans(None, str | None) is None


def test_a_run_whose_loss_is_nan_can_be_kept(tmp_path):
    run = LossRun(
        loss="onehot", seed=0, fold="", learning_rate=1e9, n_right=0, n_test=4, curve=(0.0,),
        train_loss=(math.nan,), shares=(math.inf,), seconds_per_step=0.1, saved_bytes=1,
        n_parameters=1, n_extra=0,
    )  # fmt: skip
    store = RunStore(tmp_path, LossRun, encode=LossRun.to_json)
    store.write("r", run)
    strict(store.path("r").read_text())
    assert repr(store.read("r")) == repr(replace(run, shares=(math.nan,)))


def run(*arguments, code=0):
    result = CliRunner().invoke(main, [str(a) for a in arguments])
    assert result.exit_code == code, result.output + repr(result.exception)
    return result


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """A memory of one image, and that image."""
    folder = tmp_path_factory.mktemp("alone")
    (folder / "images" / "a").mkdir(parents=True)
    pixels = np.random.default_rng(0).integers(0, 255, (24, 24, 3), np.uint8)
    Image.fromarray(pixels).save(folder / "images" / "a" / "0.png")
    Image.fromarray(pixels[::-1]).save(folder / "other.png")
    run("index", folder / "images", "-o", folder / "m", "--backbone", "tests.tiny_network:tiny", "--layer", 3)
    return folder


@pytest.mark.parametrize("spec", ["annoy:trees=2", "faiss:Flat", "exact"])
def test_one_image_is_indexed_queried_and_shown(alone, tmp_path, spec):
    where = ["--index-dir", tmp_path / "i"]
    found = run("query", alone / "m", alone / "other.png", "--k", 3, "--searcher", spec, *where, "--json")
    assert strict(found.stdout)["queries"][0]["predicted"] == "a"
    itself = run(
        "query", alone / "m", alone / "images" / "a" / "0.png", "--k", 3, "--searcher", spec, *where, "--json"
    )
    strict(itself.stdout)
    run("index", alone / "images", "-o", alone / "m", "--backbone", "tests.tiny_network:tiny", "--layer", 3,
        *([] if spec == "exact" else ["--searcher", spec]))  # fmt: skip
    strict(run("info", alone / "m", "--json").stdout)
    for header in (tmp_path / "i").rglob("index.json"):
        strict(header.read_text())


@pytest.mark.parametrize("kind", ["all zero", "one image", "one image a class"])
def test_documents_of_memories_with_nothing_to_measure(tmp_path, kind):
    values = np.random.default_rng(0).random((3, 4, 3, 3)).astype(np.float32)
    classes = ["a", "b", "c"]
    if kind == "all zero":
        values *= 0
    if kind == "one image":
        values, classes = values[:1], classes[:1]
    memory = memory_from_arrays(tmp_path / "m", values, classes)
    strict(run("info", memory.path, "--json").stdout)
    for observation in ("energy", "locations", "conditional", "hue", "accuracy"):
        result = CliRunner().invoke(
            main, ["observe", observation, str(memory.path), "--k", "1", "-o", str(tmp_path / "o"), "--json"]
        )
        if result.exit_code == 0:
            strict(result.stdout)
    if kind == "one image a class":
        found = run(
            "evaluate", memory.path, "--leave-one-out", "--k", 1, "--searcher", "faiss:Flat", "--json", code=1
        )
        assert not found.stdout and "could be classified right" in found.stderr
        strict(
            run(
                "tune", memory.path, "--k", 1, "--searcher", "faiss:Flat", "-o", tmp_path / "t", "--json"
            ).stdout
        )
    written = [*tmp_path.rglob("*.json")]
    assert written
    for file in written:
        strict(file.read_text())
