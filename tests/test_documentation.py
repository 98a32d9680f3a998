"""The Python of the documentation runs as it stands there, and its worked examples do what they say."""

import re
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision.models import resnet18

import hueprobe as hp
from hueprobe.activations.bottlenecks import Bottleneck
from hueprobe.observations.units.match_units import match_units
from hueprobe.search.spec import parse_spec
from tests.small_memories import memory_of_noise, noise

DOCS = Path(__file__).parent.parent / "docs"


def python_of(page):
    """Return the Python blocks of a page."""
    return re.findall(
        r"^```python\n(.*?)^```", (DOCS / page).read_text("utf-8"), flags=re.DOTALL | re.MULTILINE
    )


def executed(code, names):
    exec(compile(code, "documentation", "exec"), names)
    return names


@pytest.fixture
def example(example_names, tmp_path, monkeypatch):
    """The names and files that examples use, in a folder of the test's own."""
    import shutil

    made, names = example_names
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    shutil.copy(next((tmp_path / "others" / "circle").iterdir()), tmp_path / "new.jpg")
    monkeypatch.chdir(tmp_path)
    return dict(names)


def test_the_observation_that_the_developers_page_adds(example):
    (code,) = python_of("developers/add-an-observation.md")
    names = executed(code, {"__name__": "travel"})
    matches = example["matches"]
    found = names["measure"](matches)
    moved = np.sqrt((matches.y - matches.query_y) ** 2.0 + (matches.x - matches.query_x) ** 2.0)
    assert found.numbers()["mean displacement"].estimate == pytest.approx(moved.mean())
    assert found.claims() == () and found.tables() == {}
    assert len(set(match_units(matches).query.tolist())) == len(set(matches.query_image.tolist()))


def test_the_searcher_that_the_developers_page_adds(tmp_path):
    (code,) = python_of("developers/add-a-searcher.md")
    memory = memory_of_noise(tmp_path / "m", 8, channels=6, grid=(2, 3))

    @dataclass
    class Index:
        rows: np.ndarray

        def query(self, vectors, width):
            products = vectors @ self.rows.T
            ids = np.argsort(-products, axis=1, kind="stable")[:, :width]
            return ids, np.take_along_axis(products, ids, axis=1)

    class Library:
        @staticmethod
        def load(_file):
            return Index(memory.vectors(np.arange(len(memory.valid().ravel()))))

    names = executed(code, {"library": Library, "__name__": "added"})
    searcher = names["LibrarySearcher"](memory, parse_spec("exact"), tmp_path)
    queries = memory.vectors(np.arange(10))
    images = np.arange(10)[:, None] // memory.grid.n_cells
    found = searcher.search(queries, 5, exclude_images=images)
    expected = hp.open_searcher(memory, "exact").search(queries, 5, exclude_images=images)
    np.testing.assert_array_equal(found.ids, expected.ids)


def test_the_network_that_the_developers_page_adds():
    (code,) = python_of("developers/add-a-network.md")
    (row,) = eval(code, {"Bottleneck": Bottleneck})
    assert row.layer == "stages" and row.apply_closing and row.closing == "relu"


def test_the_loss_that_the_developers_page_adds():
    penalty, branch = python_of("developers/add-a-loss.md")
    names = executed(penalty, {})

    class Watch:
        @staticmethod
        def grid():
            return torch.tensor([[1.0, 3.0]])

    made = type("Made", (), {"terms": {}})()
    code = "if False:\n    pass\n" + branch
    executed(code, {**names, "kind": "penalty", "made": made, "watch": Watch})
    assert made.terms["penalty"](torch.zeros(1)) == pytest.approx(1e-3 * 5)


def test_a_network_of_the_users_own(example):
    live, function, arrays = python_of("how-to/own-network.md")
    names = executed(live, {})
    assert names["memory"].complete and names["memory"].settings.layer == "1"
    assert names["result"].predicted_class[0] in names["memory"].classes
    compile(function, "mynet.py", "exec")
    values = noise(6, channels=5, grid=(2, 2))
    names = executed(
        arrays, {"hp": hp, "activations": values, "classes": ["a", "b"] * 3, "other_activations": values[:2]}
    )
    assert names["result"].predicted_class == ("a", "b")


def test_appended_images(example):
    (code,) = python_of("how-to/append.md")
    hp.build_memory("my.memory", "images", backbone="tests.tiny_network:tiny", layer="3")
    Path("others").rename("more")
    executed(code, {"hp": hp})
    assert hp.open_memory("my.memory").n_images == 12 + 6


def test_a_memory_built_in_parts(example, monkeypatch, capsys):
    monkeypatch.setattr("hueprobe.memory.extraction.DEFAULT_BATCH_SIZE", 4)
    monkeypatch.setattr("hueprobe.memory.settings.SHARD_IMAGES", 4)
    _, actors, build, search = python_of("how-to/larger-than-one-machine.md")
    compile(actors, "actors.py", "exec")  # tests/faults runs actors
    names = executed(build, example)
    assert capsys.readouterr().out == "12 of 12\n"
    assert names["memory"].complete and len(names["memory"].shards) == 3
    names = executed(search, names)
    own = hp.KernelDensityClassifier(names["memory"], k=5).leave_one_out()
    np.testing.assert_array_equal(names["result"].unnormalized, own.unnormalized)
    assert capsys.readouterr().out == f"{hp.observations.accuracy.evaluate(own).overall}\n"
    assert names["facts"].parts == 3
    expected = hp.observe(names["memory"], "conditional", settings=hp.studies.ObserveSettings(k=5))
    effects = [[verdict.effect for verdict in one.verdicts] for one in (names["report"], expected)]
    assert effects[0] == effects[1] and len(effects[0]) == 3


@pytest.mark.slow
def test_a_memory_built_and_searched_by_an_engine(example):
    code, *_ = python_of("how-to/larger-than-one-machine.md")
    names = executed(code, example)
    assert names["memory"].complete and names["facts"].parts == 1  # of one shard
    assert len(hp.read_matches("found.parquet")) == len(example["matches"])


def test_matches_in_pandas(example, capsys):
    (code,) = python_of("how-to/matches-in-pandas-and-duckdb.md")
    example["matches"].save("matches.parquet")
    executed(code, {})
    printed = capsys.readouterr().out
    matches = example["matches"]
    same = [np.mean(matches.match_class[matches.query_class == c] == c) for c in range(len(matches.classes))]
    for name, share in zip(matches.classes, same, strict=True):
        assert re.search(rf"{name} +{share:.4f}", printed), printed


def test_a_page_of_the_explorer_is_made_and_read_as_the_documentation_says(example):
    (make,), (read,) = python_of("how-to/explore.md"), python_of("reference/explorer-format.md")
    executed(make, {"hp": hp, "memory": example["memory"]})
    names = executed(read, {})
    result = hp.KernelDensityClassifier(example["memory"]).leave_one_out()
    assert names["queries"]["paths"] == list(result.images)
    np.testing.assert_array_equal(names["distance"].ravel(), result.matches.distance.astype(np.float32))


def test_how_far_to_trust_an_answer(example):
    from PIL import Image

    sets, layers, networks, outside = python_of("how-to/how-far-to-trust-an-answer.md")
    for turned, folder in ((90, "calibration"), (180, "test"), (270, "elsewhere")):
        for path in Path("others").rglob("*.png"):
            target = folder / path.relative_to("others")
            target.parent.mkdir(parents=True, exist_ok=True)
            Image.open(path).rotate(turned).save(target)
    names = {"hp": hp}
    for name, layer in (("memory", "3"), ("second_memory", "1")):
        names[name] = hp.build_memory(
            name + ".memory", "images", backbone="tests.tiny_network:tiny", layer=layer
        )
    executed(sets, names)
    executed(layers, names)
    executed(networks, names)
    executed(outside, names)
    assert names["sets"].shape == (6, 3) and names["probabilities"].sum() == pytest.approx(6)
    assert names["both"].n_memories == 2
    np.testing.assert_array_equal(names["both"].p_values, names["two_networks"].p_values)
    assert len(names["figure"].axes) > 2


def test_audit_of_a_data_set(example):
    (code,) = python_of("how-to/audit-a-data-set.md")
    names = executed(code, {"hp": hp, "memory": example["memory"]})
    assert list(names["pairs"].columns)[:2] == ["image", "other_image"]
    assert len(names["suspects"]) == names["found"].labels.n_candidates
    assert names["figure"].axes


def test_interventions(example):
    (code,) = python_of("how-to/intervene.md")
    given = {name: example[name] for name in ("memory", "network", "transform")}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", hp.HueprobeWarning)  # 12 images are too few for figures
        names = executed(code, {"hp": hp, **given})
    assert names["figures"] == {} and names["found"].conclusion.verdict == "too little data"
    assert Path("flipped/interventions.json").is_file()


def test_neighbors_in_other_tools(example):
    import pyarrow.parquet as pq

    (code,) = python_of("how-to/neighbors-in-other-tools.md")
    executed(code, {"hp": hp, "memory": example["memory"]})
    table = pq.read_table("neighbors.parquet")
    text = (DOCS / "how-to/neighbors-in-other-tools.md").read_text()
    assert all(f"`{name}`" in text for name in table.column_names)


def test_a_loop_with_the_hue_loss():
    (code,) = [block for block in python_of("how-to/train-with-the-hue-loss.md") if "HueHead" in block]
    network = resnet18(num_classes=3)
    before = [value.clone() for value in network.parameters()]
    loader = [(torch.rand(4, 3, 64, 64), torch.tensor([0, 1, 2, 0]))]
    names = executed(code, {"network": network, "num_classes": 3, "loader": loader, "torch": torch})
    assert torch.isfinite(names["loss"])
    assert all((a != b).any() for a, b in zip(before, network.parameters(), strict=True))


@pytest.mark.slow
def test_tuning(example, capsys):
    (code,) = python_of("how-to/tune-a-searcher.md")
    tuning = executed(code, {"hp": hp, "memory": example["memory"]})["tuning"]
    assert tuning.recommended.recall >= 0.99 and str(tuning) in capsys.readouterr().out


def test_every_command_that_a_page_shows_is_one(example):
    """Each `hueprobe ...` line has a command and options that exist."""
    import shlex

    import click

    from hueprobe.cli import main

    shown = 0
    for page in [*DOCS.rglob("*.md"), DOCS.parent / "README.md"]:
        if "_build" in page.parts:
            continue
        for line in re.findall(r"^(?:\$ |    )(hueprobe .*)$", page.read_text("utf-8"), flags=re.MULTILINE):
            words = shlex.split(line, comments=True)[1:]
            command = main
            while isinstance(command, click.Group) and words and not words[0].startswith("-"):
                found = command.get_command(click.Context(command), words[0])
                assert found is not None, f"{page.name}: {line}"
                command, words = found, words[1:]
            options = {name for option in command.params for name in (*option.opts, *option.secondary_opts)}
            unknown = [word for word in words if word.startswith("-") and word not in options]
            assert unknown in ([], ["--help"]), f"{page.name}: {line}: {unknown}"
            shown += 1
    assert shown >= 30
