"""`plan` and `index --dry-run` as a user meets them."""

import json
import re

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from hueprobe.cli import main
from hueprobe.memory import settings

TINY = ["--backbone", "tests.tiny_network:tiny", "--layer", "3", "--batch-size", "4"]
N_IMAGES = 22
QUICK = ["--trial", "1", "--searcher", "faiss:Flat"]


def run(*arguments, code=0):
    result = CliRunner().invoke(main, [str(a) for a in arguments])
    assert result.exit_code == code, result.output + repr(result.exception)
    return result


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    root = tmp_path_factory.mktemp("set") / "images"
    rng = np.random.default_rng(0)
    for i in range(N_IMAGES):
        (root / "ab"[i % 2]).mkdir(parents=True, exist_ok=True)
        values = rng.integers(0, 256, (30, 36, 3), np.uint8)
        Image.fromarray(values).save(root / "ab"[i % 2] / f"{i:02d}.png")
    return root


@pytest.fixture(autouse=True)
def _small_shards(monkeypatch):
    monkeypatch.setattr(settings, "SHARD_IMAGES", 8)


def test_a_plan_is_printed(images):
    text = run("plan", images, *TINY, "--parts", "3", *QUICK).stdout
    assert re.search(
        r"^trial: 22 images in [0-9.]+ s on cpu: [0-9.,]+ images/s; [0-9.]+ [MG]B RAM$", text, re.M
    )
    assert "tests.tiny_network:tiny:3, pixel, float16: 6x6 x 12, 792 vectors" in text
    # 22 images of 36 vectors of 12 values in 2 bytes and an energy in 4; the largest part has 8 images.
    assert re.search(r"^whole memory, one process +22 +22\.2 kB +[0-9.]+ (ms|s)", text, re.M)
    assert re.search(r"^largest of 3 parts +8 +8\.1 kB +[0-9.]+ (ms|s)", text, re.M)
    assert "search of an image in 792 vectors, extrapolated linearly from samples of 396 and 792:" in text
    assert re.search(r"^exact +[0-9.]+ ms .* - +- +1\.000", text, re.M)
    assert re.search(r"^faiss:Flat +[0-9.]+ ms .* kB .* 1\.000", text, re.M)


def test_a_plan_is_one_document(images):
    result = run("plan", images, *TINY, "--parts", "3", *QUICK, "--json")
    document = json.loads(result.stdout)
    (memory,) = document["memories"]
    assert (document["images"], document["parts"], memory["part_images"]) == (22, 3, 8)
    assert memory["bytes"] == 22 * 36 * (12 * 2 + 4) and memory["part_bytes"] == 8 * 36 * 28
    assert document["hours"] == pytest.approx(22 / document["trial"]["images_per_second"] / 3600)


def test_a_dry_run_has_the_same_report_and_writes_nothing(images, tmp_path):
    command = ["index", images, "-o", tmp_path / "m", *TINY, "--part", "2/3", "--dry-run", *QUICK]
    result = run(*command)
    assert "largest of 3 parts" in result.stdout and "search of an image in 792 vectors" in result.stdout
    assert f"part 2/3: 8 images, 0.0 MB in {tmp_path}/m.parts/0002-of-0003" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_exact_search_beyond_its_memory_says_what_it_reads(images, monkeypatch):
    assert "--memory-budget" not in run("plan", images, *TINY, *QUICK).stdout
    monkeypatch.setattr("hueprobe.search.exact.blocks.DEFAULT_BUDGET", 5000)
    text = run("plan", images, *TINY, *QUICK).stdout
    assert "with the default --memory-budget of 5.0 kB, each batch of queries reads about 9.5 kB of" in text


@pytest.mark.parametrize(
    "command, code, said",
    [
        (["plan", "{images}"], 2, "name the network with --backbone"),
        (["plan", "{images}", *TINY, "--parts", "9"], 1, "in 3 shards of 8, so at most 3 parts, got 1/9"),
        (["plan", "{images}", *TINY, "--parts", "0"], 2, "0 is not in the range"),
        (["plan", "{images}", *TINY, "--trial", "0"], 2, "--trial"),
        (["plan", "{images}", *TINY, "--searcher", "fast"], 1, "choose exact"),
        (["index", "{images}", "-o", "{new}", *TINY, "--trial", "3"], 2, "add --dry-run"),
    ],
)
def test_bad_options(images, tmp_path, command, code, said):
    result = run(*(part.format(images=images, new=tmp_path / "m") for part in command), code=code)
    assert said in result.stderr and result.stdout == ""
    assert not (tmp_path / "m").exists()


def test_the_options_of_an_index_are_those_of_a_plan():
    from hueprobe.cli.index import index
    from hueprobe.cli.plan import plan

    own = {"n_parts", "specs", "seconds", "as_json"}
    shared = {param.name: param for param in plan.params if param.name not in own}
    assert all(param in index.params for param in shared.values())
    left = {param.name for param in index.params} - shared.keys()
    assert left == {
        "memory", "masks", "label_names", "ignore", "zero_is_ignore", "searchers", "index_dir", "append",
        "part", "engine", "n_parts", "engine_settings", "restarts", "dry_run", "seconds", "overwrite",
    }  # fmt: skip
