"""A search in parts from the command line: search, merge, and evaluate and observe from the table."""

import json

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import hueprobe as hp
from hueprobe.cli import main

TINY = ["--backbone", "tests.tiny_network:tiny", "--layer", "3", "--batch-size", "2"]


def run(*arguments, code=0):
    result = CliRunner().invoke(main, [str(a) for a in arguments])
    assert result.exit_code == code, result.output + repr(result.exception)
    return result


def refused(*arguments, code=1):
    """Return the one line that says why, with nothing on stdout."""
    result = run(*arguments, code=code)
    assert result.stdout == ""
    lines = [
        line for line in result.stderr.splitlines() if line.lower().startswith(("hueprobe: error", "error"))
    ]
    assert len(lines) == 1, result.stderr
    return lines[0]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A memory of two classes in four shards, and queries: a copy, one that is no image, an unknown class."""
    folder = tmp_path_factory.mktemp("parts")
    rng = np.random.default_rng(0)
    for part, names, n in (("images", "ab", 8), ("queries", "abc", 3)):
        for c, name in enumerate(names):
            (folder / part / name).mkdir(parents=True)
            for i in range(n):
                values = rng.integers(0, 200, (30, 36, 3))
                values[..., c] += 55
                Image.fromarray(values.astype(np.uint8)).save(folder / part / name / f"{i}.png")
    (folder / "queries" / "a" / "copy.png").write_bytes((folder / "images" / "a" / "0.png").read_bytes())
    (folder / "queries" / "a" / "torn.png").write_bytes(b"no image")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hueprobe.memory.settings.SHARD_BYTES", 4 * 36 * 12 * 2)
        run("index", folder / "images", "-o", folder / "m", *TINY)
    assert len(hp.open_memory(folder / "m").shards) == 4
    for kind in ("own", "other"):
        queries = ["--leave-one-out"] if kind == "own" else [folder / "queries"]
        for number in (1, 2, 3):
            part = ["--part", f"{number}/3", "-o", folder / f"{kind}-{number}.arrow"]
            shown = run("search", folder / "m", *queries, "--k", "4", *part)
            assert f"part {number}/3 of {folder / 'm'}, images" in shown.stdout
        parts = [folder / f"{kind}-{number}.arrow" for number in (3, 1, 2)]
        shown = run("merge", *parts, "-o", folder / f"{kind}.parquet").stdout
        assert f"{folder / kind}.parquet: 3 parts merged, 4 neighbors" in shown
    return folder


@pytest.mark.parametrize("kind", ["own", "other"])
def test_evaluate_says_the_same_from_merged_parts(folder, kind, tmp_path):
    queries = ["--leave-one-out"] if kind == "own" else [folder / "queries"]
    table = tmp_path / "m.parquet"
    one = run("evaluate", folder / "m", *queries, "--k", "4", "--matches", table, "--json")
    merged = ["evaluate", folder / "m", "--from-matches", folder / f"{kind}.parquet"]
    other = run(*merged, "--json")
    expected, found = json.loads(one.stdout), json.loads(other.stdout)
    assert set(found["seconds"]) == set(expected["seconds"])
    assert 0 <= found["searcher_certified"] <= 1
    # Each part has a first pass of its own.
    for document in (expected, found):
        del document["seconds"], document["searcher_certified"], document["searcher_format"]
    assert found == expected and found["images"] == (16 if kind == "own" else 7)
    for line in ("1 of the query images are in the memory too", "torn.png", "1 images could not be read"):
        assert (line in other.stderr) == (line in one.stderr) == (kind == "other")
    told = run(*merged).stdout
    assert "of queries in each of 3 parts certified in the first pass" in told
    assert f"accuracy {expected['accuracy']:.3f}" in told
    one, other = hp.read_matches(table).to_arrow(), hp.read_matches(folder / f"{kind}.parquet").to_arrow()
    assert one.equals(other)


def test_neighbors_of_images_from_merged_parts(folder, tmp_path):
    run("evaluate", folder / "m", "--leave-one-out", "--k", "4", "--neighbors", tmp_path / "one.parquet")
    merged = ["evaluate", folder / "m", "--neighbors", tmp_path / "other.parquet", "--from-matches"]
    run(*merged, folder / "own.parquet")
    assert (tmp_path / "one.parquet").read_bytes() == (tmp_path / "other.parquet").read_bytes()
    assert "needs the folders of the query images" in refused(*merged, folder / "other.parquet", code=2)


@pytest.mark.slow
def test_observe_says_the_same_from_merged_parts(folder, tmp_path):
    """With the memory everything; from the table alone, what needs nothing but matches."""
    merged = ["--matches", folder / "own.parquet"]
    for observation in ("conditional", "locations", "hue"):
        one, other = tmp_path / f"{observation}-one", tmp_path / f"{observation}-other"
        run("observe", observation, folder / "m", "--k", "4", "-o", one, "--format", "svg")
        run("observe", observation, folder / "m", *merged, "-o", other, "--format", "svg")
        assert (one / "verdicts.json").read_bytes() == (other / "verdicts.json").read_bytes()
    run("observe", "conditional", *merged, "-o", tmp_path / "alone", "--format", "svg")
    alone, one = (
        json.loads((tmp_path / name / "verdicts.json").read_text())["verdicts"]
        for name in ("alone", "conditional-one")
    )
    assert len(alone) == 3
    for verdict in (*alone, *one):
        del verdict["memory"]
    assert alone == one


def test_what_does_not_go_together_is_refused(folder, tmp_path):
    table, memory = folder / "own.parquet", folder / "m"
    assert "give either IMAGES" in refused("evaluate", memory, folder, "--from-matches", table, code=2)
    line = refused("evaluate", memory, "--from-matches", table, "--k", 10, "--exclude", "image", code=2)
    assert line.endswith("takes images, search and exclusion from the table; leave out --k, --exclude")
    part, output = folder / "own-1.arrow", ["-o", tmp_path / "o"]
    alone = ["observe", "hue", "--matches", part, *output]
    for command in (["evaluate", memory, "--from-matches", part], alone):
        assert "own-1.arrow is one part of a search, without weights; merge" in refused(*command)
    run("evaluate", memory, "--leave-one-out", "--matches", tmp_path / "m.parquet")
    line = refused("evaluate", memory, "--from-matches", tmp_path / "m.parquet")
    assert "m.parquet does not say how it was searched" in line
    observe = ["observe", "conditional", "--matches", table, "-o", tmp_path / "o"]
    assert "searched with k 4, but --k is 10; leave out --k" in refused(*observe, "--k", 10, code=2)
    run("index", folder / "queries", "-o", tmp_path / "other", *TINY)
    for command in (
        ["evaluate", tmp_path / "other", "--from-matches", table],
        [*observe, tmp_path / "other"],
    ):
        assert "own.parquet was not searched in" in refused(*command)
    assert not (tmp_path / "o").exists()


def test_searches_that_cannot_be_made_are_refused(folder, tmp_path):
    search = ["search", folder / "m", "-o", tmp_path / "p.arrow"]
    own = [*search, "--leave-one-out"]
    assert "give either IMAGES" in refused(*search, "--part", "1/2", code=2)
    assert "give either IMAGES" in refused(*own, folder / "queries", "--part", "1/2", code=2)
    assert "give either --part, such as 3/16, to search one part, or --engine" in refused(*own, code=2)
    assert "give either --part" in refused(*own, "--part", "1/2", "--engine", "local:2", code=2)
    assert "--parts is about an engine" in refused(*own, "--part", "1/2", "--parts", "2", code=2)
    assert "has 4 shards, too few for 5" in refused(
        *own[:3], tmp_path / "p.csv", "--leave-one-out", "--engine", "local:2", "--parts", "5"
    )
    for text in ("0/2", "3/2", "1", "one of two"):
        assert "3/16" in refused(*own, "--part", text, code=2)
    assert "has 4 shards, too few for 5 parts" in refused(*own, "--part", "1/5")
    assert "--k 1000" in refused(*own, "--part", "1/2", "--k", "1000", code=2)
    assert "--exclude image or group" in refused(*own, "--part", "1/2", "--exclude", "none", code=2)
    assert "cannot be used with" in refused(*own, "--part", "1/2", "--split", "test", code=2)
    assert not list(tmp_path.iterdir())
    assert "part 2/3 is missing" in refused(
        "merge", folder / "own-1.arrow", folder / "own-3.arrow", "-o", tmp_path / "m.parquet"
    )
    assert "Missing argument 'PART...'" in refused("merge", "-o", tmp_path / "m.parquet", code=2)
    assert not list(tmp_path.iterdir())


def test_a_finished_part_is_not_searched_again(folder, tmp_path):
    search = ["search", folder / "m", "--leave-one-out", "--part", "1/2", "-o", tmp_path / "p.arrow"]
    first = run(*search)
    assert "nothing to do" not in first.stderr
    again = run(*search)
    assert "part 1/2 was finished before; nothing to do" in again.stderr and again.stdout == first.stdout
    line = refused(*search, "--exclude", "group")
    assert "p.arrow holds another search (exclude image, not group); name another output" in line
    assert "--overwrite" in line
    run(*search, "--exclude", "group", "--overwrite")
    assert hp.scale.SearchedPart.load(tmp_path / "p.arrow").n_searched == 16 * 36


def test_a_search_that_is_stopped_says_that_it_goes_on(folder, tmp_path, monkeypatch):
    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("hueprobe.scale.search_part", stop)
    part = ["--part", "1/2", "-o", tmp_path / "p.arrow"]
    shown = run("search", folder / "m", "--leave-one-out", *part, code=130)
    assert shown.stderr.splitlines()[-1].endswith("run the same command again to resume")
