"""The transform: the numbers of torchvision's preset, and its settings."""

import json
import math

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import InterpolationMode
from torchvision.transforms._presets import ImageClassification

from hueprobe.errors import ImageError, InputError
from hueprobe.images import Transform
from hueprobe.images.transform import INTERPOLATIONS


def random_image(width, height):
    rng = np.random.default_rng([width, height])
    return Image.fromarray(rng.integers(0, 256, (height, width, 3), np.uint8))


@pytest.mark.parametrize("size", [(64, 48), (48, 64), (50, 50), (31, 97), (7, 5), (1, 1), (3, 200)])
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize(
    ("resize", "crop"),
    [(32, 28), (33, 28), (32, 32), (20, 45), (100, 96)],  # 20, 45: the crop is larger than the image
)
def test_equals_torchvisions_preset_bit_for_bit(size, interpolation, resize, crop):
    image = random_image(*size)
    preset = ImageClassification(
        crop_size=crop, resize_size=resize, interpolation=InterpolationMode(interpolation)
    )
    expected = preset(image)
    result = Transform(resize=resize, crop=crop, interpolation=interpolation)(image)
    assert result.dtype == torch.float32 and result.shape == (3, crop, crop)
    assert torch.equal(result, expected)


def test_equals_the_preset_of_real_weights_with_other_means():
    image = random_image(300, 200)
    preset = ImageClassification(
        crop_size=224, resize_size=256, mean=(0.5, 0.4, 0.3), std=(0.5, 0.6, 0.7),
        interpolation=InterpolationMode.BICUBIC,
    )  # fmt: skip
    transform = Transform(
        resize=256, crop=224, mean=(0.5, 0.4, 0.3), std=(0.5, 0.6, 0.7), interpolation="bicubic"
    )
    assert torch.equal(transform(image), preset(image))


def test_against_numpy_without_resizing():
    image = random_image(6, 4)
    result = Transform(resize=None, crop=(2, 4), mean=(0.5, 0.25, 0), std=(0.5, 1, 2))(image)
    # the middle two of four rows, the middle four of six columns
    pixels = np.asarray(image)[1:3, 1:5].transpose(2, 0, 1) / 255
    expected = (pixels - np.reshape([0.5, 0.25, 0], (3, 1, 1))) / np.reshape([0.5, 1, 2], (3, 1, 1))
    np.testing.assert_allclose(result.numpy(), expected, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(
    ("resize", "crop", "shape", "result"),
    [
        (32, 28, (3, 28, 28), (3, 28, 28)),
        (None, (5, 7), (3, 5, 7), (3, 5, 7)),
        ((20, 30), None, (3, 20, 30), (3, 20, 30)),
        ((20, 30), 10, (3, 10, 10), (3, 10, 10)),
        (24, None, None, (3, 24, 48)),
        (None, None, None, (3, 8, 16)),
    ],
)
def test_shape(resize, crop, shape, result):
    transform = Transform(resize=resize, crop=crop)
    assert transform.shape == shape
    assert transform(random_image(16, 8)).shape == result


def test_a_strip_is_refused_before_it_fills_the_memory():
    transform = Transform(resize=256, crop=224)
    with pytest.raises(ImageError, match="too long and thin: 1x60000 pixels"):
        transform(Image.new("RGB", (1, 60000)))
    with pytest.raises(ImageError, match="too long and thin: 60000x1 pixels"):
        transform(Image.new("RGB", (60000, 1)))
    assert transform(Image.new("RGB", (1, 100))).shape == (3, 224, 224)


@pytest.mark.parametrize(
    "transform",
    [
        Transform(resize=256, crop=224),
        Transform(resize=(3, 4), crop=None, mean=(0, 0.1, 1), std=(1, 2, 3), interpolation="bicubic"),
        Transform(resize=None, crop=[5, 6]),
    ],
)
def test_json_round_trip(transform):
    assert Transform.from_json(json.loads(json.dumps(transform.to_json()))) == transform
    assert hash(transform) == hash(Transform.from_json(transform.to_json()))


def test_json_with_a_misspelt_or_missing_setting():
    settings = Transform(resize=256, crop=224).to_json()
    with pytest.raises(InputError, match=r"'interpol'.*expected \['crop', 'interpolation', 'mean'"):
        Transform.from_json({**settings, "interpol": "bicubic"})
    del settings["mean"]
    with pytest.raises(InputError, match="expected"):
        Transform.from_json(settings)


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
def test_every_interpolation_works(interpolation):
    assert Transform(resize=9, crop=8, interpolation=interpolation)(random_image(20, 30)).shape == (3, 8, 8)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"resize": 0}, "resize is 0; give a number of pixels"),
        ({"resize": 2.5}, "resize is 2.5"),
        ({"crop": (3, -1)}, r"crop is \(3, -1\)"),
        ({"crop": (3, 4, 5)}, "crop is"),
        ({"crop": True}, "crop is True"),
        ({"mean": (0.5,)}, "mean is .* three finite numbers"),
        ({"mean": 0.5}, "mean is 0.5; give three finite numbers"),
        ({"std": (1, 1, math.nan)}, "std is"),
        ({"std": (1, 0, 1)}, "std is .*; each must be above 0"),
        ({"interpolation": "cubic"}, "unknown interpolation 'cubic'; choose one of: .*bilinear.*bicubic"),
    ],
)
def test_settings_out_of_range(settings, said):
    with pytest.raises(InputError, match=said):
        Transform(**{"resize": 8, "crop": 8, **settings})


@pytest.mark.parametrize("shape", [(8, 8, 3), (9, 8, 3)])
def test_into_a_slot_gives_the_same_numbers_and_leaves_a_slot_of_another_shape_alone(shape):
    pixels = np.random.default_rng(0).integers(0, 256, (12, 17, 3), np.uint8)
    transform, slot = Transform(resize=10, crop=8), np.full(shape, np.nan, np.float32)
    written = transform.into(Image.fromarray(pixels), slot)
    assert torch.equal(written, transform(Image.fromarray(pixels)))
    if shape == (8, 8, 3):
        assert np.array_equal(slot.transpose(2, 0, 1), written)
    else:
        assert np.isnan(slot).all()


@pytest.mark.parametrize("size", [(64, 48), (48, 64), (200, 3), (5, 400), (50, 50)])
@pytest.mark.parametrize("fit", ["squash", "pad"])
@pytest.mark.parametrize(("resize", "crop"), [(32, 28), (None, (20, 30)), (24, None), ((18, 12), None)])
def test_a_fit_keeps_all_of_an_image(size, fit, resize, crop):
    """Each of four quarters of another color is there in its share of the image."""
    width, height = size
    pixels = np.zeros((height, width, 3), np.uint8)
    colors = {(0, 0): (255, 0, 0), (0, 1): (0, 255, 0), (1, 0): (0, 0, 255), (1, 1): (255, 255, 255)}
    for (down, right), color in colors.items():
        rows = slice(0, height // 2) if not down else slice(height // 2, None)
        columns = slice(0, width // 2) if not right else slice(width // 2, None)
        pixels[rows, columns] = color
    transform = Transform(
        resize=resize, crop=crop, fit=fit, mean=(0.5,) * 3, std=(1,) * 3, interpolation="nearest"
    )
    seen = transform(Image.fromarray(pixels)) + 0.5
    target = crop or resize
    assert seen.shape[1:] == (target if isinstance(target, tuple) else (target, target))
    assert transform.shape == tuple(seen.shape)
    codes = seen.permute(1, 2, 0).numpy()
    found = {place: (np.abs(codes * 255 - color).max(axis=2) < 1).sum() for place, color in colors.items()}
    total = sum(found.values())
    border = codes.shape[0] * codes.shape[1] - total
    if fit == "squash":
        assert border == 0
    else:
        gray = (np.abs(codes * 255 - 128).max(axis=2) < 1.1).sum()  # the color of mean, on bytes
        assert gray == border
        high, wide = codes.shape[:2]
        scale = min(high / height, wide / width)
        assert total == max(1, round(height * scale)) * max(1, round(width * scale))
    if min(codes.shape[:2]) > 10 and min(size) > 10:
        assert min(found.values()) > 0.2 * total  # not one of them lost


def test_pad_leaves_the_network_nothing_to_see_in_the_border():
    transform = Transform(resize=40, crop=32, fit="pad")
    seen = transform(Image.new("RGB", (64, 16), (255, 255, 255)))
    assert seen[:, :12].abs().max() < 0.01 and seen[:, 20:].abs().max() < 0.01
    assert seen[:, 12:20].min() > 1


@pytest.mark.parametrize("fit", ["squash", "pad"])
def test_the_fit_is_written_down_and_the_usual_one_is_not(fit):
    transform = Transform(resize=32, crop=28, fit=fit)
    assert transform.to_json()["fit"] == fit and f"fit='{fit}'" in repr(transform)
    assert Transform.from_json(json.loads(json.dumps(transform.to_json()))) == transform
    # Memories made before there was a fit keep their bytes, and say nothing of it.
    usual = Transform(resize=32, crop=28)
    assert list(usual.to_json()) == ["resize", "crop", "mean", "std", "interpolation"]
    assert repr(usual).endswith("interpolation='bilinear')")
    assert Transform.from_json(usual.to_json()) == usual == Transform(resize=32, crop=28, fit="crop")


def test_a_fit_needs_a_size_and_a_name():
    with pytest.raises(InputError, match="needs a size to fit into"):
        Transform(resize=None, crop=None, fit="pad")
    with pytest.raises(InputError, match="unknown fit 'stretch'; choose one of: crop, squash, pad"):
        Transform(resize=32, crop=28, fit="stretch")


@pytest.mark.parametrize(
    ("resize", "crop", "size", "kept"),
    [
        (256, 224, (256, 256), (224 / 256) ** 2),
        (256, 224, (512, 256), (224 / 256) * (224 / 512)),
        (256, 224, (100, 300), (224 / 256) * (224 / 768)),
        ((256, 256), 224, (100, 300), (224 / 256) ** 2),
        (None, 224, (448, 224), 0.5),
        (None, 224, (100, 100), 1),
        (256, None, (100, 900), 1),
    ],
)
def test_the_share_of_an_image_that_is_seen(resize, crop, size, kept):
    transform = Transform(resize=resize, crop=crop)
    assert transform.kept(*size) == pytest.approx(kept)
    if crop:
        for fit in ("squash", "pad"):
            assert Transform(resize=resize, crop=crop, fit=fit).kept(*size) == 1


@pytest.mark.parametrize("size", [(120, 40), (40, 120), (60, 60)])
def test_the_share_that_is_seen_by_counting(size):
    """The image says of each pixel how far right and down it lies; what is left of it is seen whole."""
    width, height = size
    ramp = np.zeros((height, width, 3), np.uint8)
    ramp[..., 0] = np.linspace(0, 250, width).round()[None, :]
    ramp[..., 1] = np.linspace(0, 250, height).round()[:, None]
    transform = Transform(resize=32, crop=28, mean=(0,) * 3, std=(1,) * 3)
    seen = transform(Image.fromarray(ramp)).numpy()
    spans = [(seen[channel].max() - seen[channel].min()) * 255 / 250 for channel in (0, 1)]
    assert transform.kept(*size) == pytest.approx(spans[0] * spans[1], abs=0.1)
