"""Which transform goes with a file of weights, which holds none."""

import hashlib
import types

import pytest
import safetensors.torch
import torch
import torchvision
from torchvision.models import ResNet50_Weights, ViT_B_16_Weights, squeezenet1_1

from hueprobe import build_memory
from hueprobe.activations import load_backbone
from hueprobe.activations.networks import find_blueprint
from hueprobe.errors import HueprobeWarning
from hueprobe.images import Transform
from tests.memory.test_transforms import draw

V1, V2 = ResNet50_Weights.IMAGENET1K_V1, ResNet50_Weights.IMAGENET1K_V2


def chosen(folder, name, network="resnet50"):
    (folder / name).write_bytes(b"any bytes")
    blueprint = find_blueprint(network, folder / name)
    return blueprint.build()[1].resize, blueprint.transform_of, blueprint.transform_assumed


@pytest.mark.parametrize(
    ("name", "entry", "why", "assumed"),
    [
        ("resnet50-0676ba61.pth", V1, "IMAGENET1K_V1, whose file name it bears", False),
        ("resnet50-11ad3fa6.pth", V2, "IMAGENET1K_V2, whose file name it bears", False),
        ("resnet50_v1.fp16.safetensors", V1, "IMAGENET1K_V1, as the file's name says", True),
        ("ResNet50-V2.pth", V2, "IMAGENET1K_V2, as the file's name says", True),
        ("mine_IMAGENET1K_V1_ema.pth", V1, "IMAGENET1K_V1, as the file's name says", True),
        ("mine.pth", V2, "IMAGENET1K_V2, the default weights, since the file does not tell", True),
        ("v1_and_v2.pth", V2, "IMAGENET1K_V2, the default weights, since the file does not tell", True),
        ("conv1.pth", V2, "IMAGENET1K_V2, the default weights, since the file does not tell", True),
    ],
)
def test_a_files_name_tells_whose_transform_is_taken(tmp_path, name, entry, why, assumed):
    resize, told, guessed = chosen(tmp_path, name)
    assert resize == entry.transforms().resize_size[0] and guessed == assumed
    assert told.startswith(why)


def test_the_architectures_own_version_is_none_of_the_weights(tmp_path):
    assert "the default weights" in chosen(tmp_path, "mobilenet-v2_tf.pth", "mobilenet_v2")[1]
    assert "IMAGENET1K_V1, as" in chosen(tmp_path, "mobilenet_v2_v1.pth", "mobilenet_v2")[1]


def test_the_longest_name_counts_and_brings_its_image_size(tmp_path):
    (tmp_path / "vit_b_16_IMAGENET1K_SWAG_E2E_V1.pth").write_bytes(b"")
    blueprint = find_blueprint("vit_b_16", tmp_path / "vit_b_16_IMAGENET1K_SWAG_E2E_V1.pth")
    assert blueprint.build()[1].crop == ViT_B_16_Weights.IMAGENET1K_SWAG_E2E_V1.transforms().crop_size[0]


def test_a_renamed_file_is_known_by_its_sha256(tmp_path, monkeypatch):
    """Of an entry made for the purpose, since no file of torchvision's is at hand."""
    path = tmp_path / "renamed.bin"
    path.write_bytes(b"some weights")
    digits = hashlib.sha256(b"some weights").hexdigest()[:8]

    class Entries(list):
        def __getitem__(self, key):
            return {"DEFAULT": V2}[key]

    known = types.SimpleNamespace(
        url=f"https://example.org/resnet50-{digits}.pth", name="KNOWN", transforms=V1.transforms
    )
    monkeypatch.setattr(torchvision.models, "get_model_weights", lambda name: Entries([V2, known]))
    blueprint = find_blueprint("resnet50", path)
    assert blueprint.transform_of == "KNOWN, whose sha256 it has" and not blueprint.transform_assumed
    assert blueprint.build()[1].resize == 256
    path.write_bytes(b"other weights")
    assert find_blueprint("resnet50", path).build()[1].resize == 232


@pytest.fixture
def file(tmp_path):
    safetensors.torch.save_file(squeezenet1_1().state_dict(), tmp_path / "mine.safetensors")
    return tmp_path / "mine.safetensors"


def test_a_transform_that_is_given_is_no_assumption(file):
    assumed = load_backbone("squeezenet1_1", weights=file)
    assert assumed.transform_assumed and "IMAGENET1K_V1, the default weights" in assumed.transform_of
    given = load_backbone("squeezenet1_1", weights=file, transform=Transform(resize=64, crop=64))
    assert not given.transform_assumed and given.transform_of is None
    live = load_backbone(squeezenet1_1())
    assert not live.transform_assumed and live.transform_of is None


def test_a_build_warns_of_an_assumed_transform(file, tmp_path):
    images = draw(tmp_path / "images", 1)
    options = {"backbone": "squeezenet1_1", "weights": file, "device": "cpu"}
    with pytest.warns(
        HueprobeWarning, match=r"mine.safetensors: resize 256 .*crop 224.*give another with tr"
    ):
        build_memory(tmp_path / "m", images, **options)
    build_memory(tmp_path / "n", images, transform=Transform(resize=64, crop=64), **options)


def test_a_file_for_timm_takes_timms(tmp_path, timm_extra):
    import timm

    path = tmp_path / "w.pth"
    torch.save(timm.create_model("test_resnet").state_dict(), path)
    backbone = load_backbone("timm:test_resnet", weights=path)
    assert backbone.transform_assumed and backbone.transform_of.startswith(
        "timm's test_resnet, since the file"
    )
