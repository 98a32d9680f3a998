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
