import json

import pytest
from click.testing import CliRunner
from PIL import Image

from hueprobe.cli import main


@pytest.fixture(scope="module")
def memory(small_memory):
    return small_memory(n=40, channels=8, grid=(3, 3))


def tune(memory, *arguments, code=0):
    result = CliRunner().invoke(main, ["tune", str(memory.path), *map(str, arguments)])
    assert result.exit_code == code, result.output + repr(result.exception)
    return result


def test_a_table_a_recommendation_and_what_to_do_with_it(memory):
    shown = tune(memory, "--searcher", "annoy:trees=2", "--searcher", "faiss:Flat", "--queries", 50).stdout
    assert "360 vectors, 50 of them asked at once" in shown
    for word in ("annoy:trees=2", "faiss:Flat", "exact", "recall@10", "queries/s", "build s", "index MB"):
        assert word in shown
    assert "recommended for recall 0.99: " in shown
    assert "--searcher" in shown.split("recommended")[1]


def test_json_and_figures(memory, tmp_path):
    result = tune(memory, "--recall", 0.8, "--k", 5, "--queries", 50, "-o", tmp_path / "new/out", "--json")
    document = json.loads(result.stdout)
    assert json.loads((tmp_path / "new/out/tuning.json").read_text()) == document
    assert document["wished"] == 0.8 and document["k"] == 5 and document["n_queries"] == 50
    assert document["recommended"] in [trial["spec"] for trial in document["trials"]]
    assert {
        "spec",
        "recall",
        "queries_per_second",
        "times_exact",
        "times_exact_low",
        "times_exact_high",
        "rounds",
        "build_seconds",
        "n_bytes",
    } == set(document["trials"][0])
    with Image.open(tmp_path / "new/out/tuning.png") as figure:
        assert figure.size[0] >= 1000
    assert (tmp_path / "new/out/tuning.pdf").read_bytes()[:4] == b"%PDF"
    assert not (memory.path / "indexes").exists()


@pytest.mark.parametrize(
    "arguments, code, said",
    [
        (["--recall", "0"], 2, "0<x<=1"),
        (["--k", "400"], 2, "holds 360 vectors"),
        (["--searcher", "annoyed"], 1, "choose exact, annoy"),
    ],
)
def test_wrong_wishes_end_in_one_line(memory, arguments, code, said):
    result = tune(memory, *arguments, code=code)
    assert said in result.stderr and result.stdout == ""


def test_what_could_not_be_built_is_said_on_stderr(memory):
    result = tune(memory, "--searcher", "faiss:Nonsense", "--queries", 20)
    assert "left out: faiss:Nonsense" in result.stderr
    assert "recommended for recall 0.99: exact" in result.stdout
