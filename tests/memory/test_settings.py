"""memory.json and the ledger as typed records: the bytes they came from, and what is said of wrong ones."""

import json
import os

import msgspec
import pytest
from PIL import Image

from hueprobe import build_memory, open_memory
from hueprobe.errors import InputError, MemoryDamagedError, MemoryFormatError
from hueprobe.memory import append_images, plan_memory
from hueprobe.memory.ledger import read_ledger
from hueprobe.memory.settings import MemorySettings, images_per_shard, read_settings, settings_text
from hueprobe.memory.steps import ShardStep
from tests.faults.mutations import chained, steps_of
from tests.tiny_network import TRANSFORM, tiny


@pytest.fixture
def memory(tmp_path, small_memory):
    return small_memory(tmp_path / "m", n=70, channels=3, grid=(2, 4), shard_images=32).path


def test_settings_go_back_to_the_bytes_they_came_from(memory):
    settings = read_settings(memory)
    assert isinstance(settings, MemorySettings)
    assert (settings.grid, settings.channels, settings.dtype) == ((2, 4), 3, "float16")
    assert settings_text(settings).encode() == (memory / "memory.json").read_bytes()
    mixed = msgspec.structs.replace(settings, mixed_from=("a", "b"), derived_from="c")
    document = json.loads(settings_text(mixed))
    assert (document["mixed_from"], document["derived_from"]) == (["a", "b"], "c")
    (memory / "memory.json").write_text(settings_text(mixed))
    assert read_settings(memory) == mixed
    with pytest.raises(AttributeError):
        settings.seed = 1


REMOVED = object()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"grid": REMOVED, "seed": REMOVED}, "memory.json has no grid, seed; restore it or rebuild"),
        ({"sede": 0}, "memory.json has the unknown field 'sede'; restore it or rebuild"),
        ({"sede": 0, "seed": REMOVED}, "has no seed;"),
        ({"seed": -1}, "has seed -1, expected `int` >= 0;"),
        ({"seed": True}, "has seed True, expected `int`, got `bool`;"),
        ({"channels": 0}, "has channels 0, expected `int` >= 1;"),
        ({"grid": [2]}, "has grid [2], expected `array` of length 2, got 1;"),
        ({"grid": [2, 0]}, "has grid [2, 0], expected `int` >= 1"),
        ({"grid": [1 << 30, 1 << 30]}, "has grid [1073741824, 1073741824] and channels 3, expected at most"),
        (
            {"dtype": "float64"},
            "has dtype 'float64', expected `str` matching regex '^(float16|float32|sparse16)",
        ),
        ({"descriptor": "gap\n"}, "has descriptor 'gap\\n', expected `str` matching regex '^(pixel|gap|"),
        ({"closing": 1}, "has closing 1, expected `str | null`, got `int`;"),
        ({"versions": {"torch": 2}}, "has versions {'torch': 2}, expected `str`, got `int`"),
        ({"mixed_from": ["a"]}, "has mixed_from ['a'], expected `array` of length 2, got 1;"),
    ],
)
def test_what_is_wrong_with_settings_is_said(memory, changes, says):
    path = memory / "memory.json"
    document = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps({name: value for name, value in document.items() if value is not REMOVED}))
    with pytest.raises(MemoryDamagedError) as caught:
        open_memory(memory)
    assert says in str(caught.value) and str(caught.value).startswith(str(path))


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ({"format": 3}, "has format 3, this hueprobe reads up to 2; install a newer hueprobe"),
        ({"format": "1"}, "has no format version"),
        ({}, "has no format version"),
        ([1], "has no format version"),
    ],
)
def test_another_format_is_no_damage(memory, document, says):
    (memory / "memory.json").write_text(json.dumps(document))
    with pytest.raises(MemoryFormatError, match=says):
        open_memory(memory)


@pytest.mark.parametrize(
    ("line", "changes", "says"),
    [
        (1, {"start": REMOVED}, "line 2 is a step 'shard' that has no start; restore the file"),
        (1, {"size": 1}, "line 2 is a step 'shard' that has the unknown field 'size';"),
        (1, {"nonnegative": 1}, "a step 'shard' that has nonnegative 1, expected `bool`, got `int`;"),
        (2, {"stop": -1}, "line 3 is a step 'shard' that has stop -1, expected `int` >= 0;"),
        (0, {"files": {"source.parquet": {"size": 1, "sha256": "0"}}}, "line 1 is a step 'source' that has"),
        (4, {"images": 69}, "line 5 is a step 'complete' that does not follow from the earlier steps;"),
        (4, {"step": "done"}, "line 5 is a step of an unknown kind;"),
        (4, {"step": [1]}, "line 5 is a step of an unknown kind;"),
    ],
)
def test_what_is_wrong_with_a_step_is_said(memory, line, changes, says):
    """Even where all hashes are computed anew."""
    steps = steps_of(memory / "ledger.jsonl")
    step = {**steps[line], **changes}
    steps[line] = {name: value for name, value in step.items() if value is not REMOVED}
    (memory / "ledger.jsonl").write_bytes(chained(steps))
    with pytest.raises(MemoryDamagedError) as caught:
        open_memory(memory)
    assert says in str(caught.value)


def test_steps_are_typed(memory):
    ledger = read_ledger(memory)
    assert [(step.start, step.stop) for step in ledger.shards] == [(0, 32), (32, 64), (64, 70)]
    assert all(isinstance(step, ShardStep) and step.nonnegative for step in ledger.shards)
    assert ledger.n_listed == ledger.n_done == 70 and ledger.complete and len(ledger.lists) == 1
    for name, entry in ledger.files.items():
        assert entry.size == (memory / name).stat().st_size


def test_images_a_shard_by_hand():
    # 7 x 7 cells of 1920 channels take 188,160 bytes in float16: 256 MiB hold 1,426 images.
    assert images_per_shard((7, 7), 1920, "float16", 32) == 512
    assert images_per_shard((7, 7), 1920, "float16", 200) == 400
    assert images_per_shard((7, 7), 1920, "float16", 600) == 600  # one batch at least
    # 56 x 56 x 256 in float32 take 3,211,264 bytes: 83 images.
    assert images_per_shard((56, 56), 256, "float32", 32) == 64
    assert images_per_shard((56, 56), 256, "float32", 32, wanted=96) == 96
    for asked, instead in ((40, 32), (0, 32), (-32, 32), (63, 64)):
        with pytest.raises(InputError, match=f"multiple of the batch size 32, got {asked}; use {instead}"):
            images_per_shard((7, 7), 1920, "float16", 32, wanted=asked)


def test_a_build_that_goes_on_takes_its_own_shards(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    for i in range(10):
        Image.new("RGB", (24, 24), (20 * i, 0, 0)).save(folder / f"{i}.png")
    network, _ = tiny()
    options = {"backbone": network, "transform": TRANSFORM, "layer": "3", "device": "cpu"}
    built = build_memory(tmp_path / "m", folder, batch_size=2, shard_images=4, **options)
    assert [(shard.start, shard.stop) for shard in built.shards] == [(0, 4), (4, 8), (8, 10)]
    before = (tmp_path / "m" / "ledger.jsonl").read_bytes()
    build_memory(tmp_path / "m", folder, **options)
    assert (tmp_path / "m" / "ledger.jsonl").read_bytes() == before
    with pytest.raises(MemoryFormatError, match="shard_images: 4 in the memory, 6 requested"):
        build_memory(tmp_path / "m", folder, shard_images=6, **options)
    with pytest.raises(InputError, match="multiple of the batch size 2"):
        build_memory(tmp_path / "n", folder, batch_size=2, shard_images=5, **options)
    assert not os.path.lexists(tmp_path / "n")
    (tmp_path / "more").mkdir()
    for i in range(5):
        Image.new("RGB", (24, 24), (0, 20 * i, 1)).save(tmp_path / "more" / f"{i}.png")
    grown = append_images(tmp_path / "m", tmp_path / "more", backbone=network, transform=TRANSFORM)
    assert [(shard.start, shard.stop) for shard in grown.shards[3:]] == [(10, 14), (14, 15)]


def test_a_plan_says_what_a_shard_will_hold(tmp_path):
    from hueprobe.activations import load_backbone

    network, _ = tiny()
    loaded = load_backbone(network, layer="3", transform=TRANSFORM)
    for i in range(3):
        Image.new("RGB", (24, 24)).save(tmp_path / f"{i}.png")
    plan = plan_memory(tmp_path / "m", tmp_path, backbone=loaded, batch_size=4, shard_images=8, device="cpu")
    assert plan.settings.shard_images == 8 and plan.n_images == 3
    height, width = plan.settings.grid
    assert plan.n_bytes == 3 * height * width * (plan.settings.channels * 2 + 4)
