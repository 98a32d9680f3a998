"""Patch tokens of timm's ViTs as cells with labels: in place, without class or register tokens."""

import json

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

import hueprobe as hp
from hueprobe.cli import main
from hueprobe.dense import read_segmentation
from hueprobe.errors import HueprobeWarning
from tests.dense.drawn import draw

pytestmark = pytest.mark.usefixtures("timm_extra")
PATCH, GRID = 16, (4, 7)  # not square
SIZE = (PATCH * GRID[0], PATCH * GRID[1])
TRANSFORM = hp.images.Transform(resize=None, crop=SIZE, fit="squash")


def patchwork(folder, n=3):
    """Write images of one color per patch, with a label per patch; some patches are ignored."""
    rng = np.random.default_rng(0)
    labels = []
    for kind in ("images", "masks"):
        (folder / kind).mkdir()
    for i in range(n):
        colors = rng.integers(0, 256, (*GRID, 3), np.uint8)
        mask = rng.integers(0, 3, GRID, np.uint8)
        mask[i, 2] = 255
        labels.append(mask)
        for kind, values in (("images", colors), ("masks", mask)):
            pixels = values.repeat(PATCH, axis=0).repeat(PATCH, axis=1)
            Image.fromarray(pixels).save(folder / kind / f"{i}.png")
    return np.array(labels)


# A class token, a register token: one that is no patch stands before the grid.
@pytest.mark.parametrize("name", ["test_vit", "test_vit2"])
def test_cells_are_patches_with_their_labels(tmp_path, name):
    labels = patchwork(tmp_path)
    memory = hp.build_memory(
        tmp_path / "m", tmp_path / "images", masks=tmp_path / "masks", backbone=f"timm:{name}",
        weights="none", transform=TRANSFORM, dtype="float32",
    )  # fmt: skip
    assert memory.grid.shape == GRID
    counts = memory.label_counts()
    for label in range(3):
        np.testing.assert_array_equal(counts[..., label], np.where(labels == label, PATCH**2, 0))

    from hueprobe.activations import load_backbone

    network = load_backbone(f"timm:{name}", weights="none").module
    assert network.num_prefix_tokens == 1
    images = torch.stack([TRANSFORM(Image.open(tmp_path / "images" / f"{i}.png")) for i in range(3)])
    with torch.no_grad():
        tokens = network.forward_features(images)[:, 1:].numpy()
    units = tokens / np.linalg.norm(tokens, axis=-1, keepdims=True)
    assert tokens.shape[1] == GRID[0] * GRID[1]
    np.testing.assert_allclose(memory.image_vectors([0, 1, 2]), units, atol=1e-5)

    with pytest.warns(HueprobeWarning, match="may match themselves"):
        found = hp.segment(memory, tmp_path / "images", exclude=None, k=1)
    for i in range(3):
        centers = found.label_map(i)[PATCH // 2 :: PATCH, PATCH // 2 :: PATCH]
        known = labels[i] != 255
        np.testing.assert_array_equal(centers[known], labels[i][known])
    np.testing.assert_array_equal(found.nearest.reshape(-1), np.arange(3 * GRID[0] * GRID[1]))


def run(*arguments, code=0):
    result = CliRunner().invoke(main, [str(a) for a in arguments])
    assert result.exit_code == code, result.output + repr(result.exception)
    return result


def test_blocks_of_a_vit_from_masks_to_a_comparison(tmp_path):
    draw(tmp_path / "train", tmp_path / "masks", 4, seed=1)
    draw(tmp_path / "test", tmp_path / "masks", 2, seed=2)
    masks = ["--masks", tmp_path / "masks"]
    layers = ["--layer", "blocks.0", "--layer", "norm"]
    vit = ["--backbone", "timm:test_vit", "--weights", "none", "--fit", "squash", "--crop", "80x112"]
    run("index", tmp_path / "train", *masks, "-o", tmp_path / "m", *vit, *layers)
    given = [tmp_path / "m.blocks.0", tmp_path / "m.norm", tmp_path / "test", *masks]
    document = json.loads(run("segment", *given, "-o", tmp_path / "out", "--json").stdout)
    assert [one["grid"] for one in document["layers"]] == [[5, 7], [5, 7]]
    for row in document["comparison"]["rows"]:
        assert row["mean_iou"]["value"] > 0.8  # bright patches are told from dark ones even without training
    found = read_segmentation(tmp_path / "out" / "norm" / "segmentation.npz")
    assert found.label_map(0).shape == (40, 56)


@pytest.mark.slow
def test_a_vit_of_one_size_refuses_another_in_one_sentence(tmp_path):
    draw(tmp_path / "train", tmp_path / "masks", 2, seed=1)
    vit = ["--backbone", "timm:vit_tiny_patch16_224", "--weights", "none", "--fit", "squash"]
    given = ["index", tmp_path / "train", "--masks", tmp_path / "masks", "-o", tmp_path / "m", *vit]
    refused = run(*given, "--crop", "160x224", code=1)
    said = (
        "timm:vit_tiny_patch16_224 accepts images of 224 x 224 only, got 160 x 224; set the crop to 224, and "
        "fit to 'squash' or 'pad' to keep whole images"
    )
    assert refused.stderr.splitlines()[-1] == f"hueprobe: error: {said}"
    assert not (tmp_path / "m").exists()
    run(*given, "--crop", "224")
    memory = hp.open_memory(tmp_path / "m")
    assert memory.grid.shape == (14, 14) and memory.settings.layer == "norm"
    shown = run("segment", tmp_path / "m", tmp_path / "train", "-o", tmp_path / "out")
    assert "2 label maps" in shown.stdout
