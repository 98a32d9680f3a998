"""Weights: read safely, matched tensor by tensor, fetched or said not to be, and hashed."""

import hashlib
import pickle
import re
import urllib.error

import pytest
import safetensors.torch
import torch
from torch import nn
from torchvision.models import VisionTransformer, densenet121, mnasnet0_5, resnet18, squeezenet1_1

from hueprobe.activations import load_backbone
from hueprobe.activations.weights import put_weights, read_weights, rename_by_position, weights_sha256
from hueprobe.errors import WeightsError


@pytest.fixture(scope="module")
def squeezenet():
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return squeezenet1_1()


class Bomb:
    """Creates a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_a_file_gives_its_weights(squeezenet, tmp_path, suffix):
    path = tmp_path / f"weights{suffix}"
    state = squeezenet.state_dict()
    save = safetensors.torch.save_file if suffix == ".safetensors" else torch.save
    save(state, path)
    backbone = load_backbone("squeezenet1_1", weights=path)
    assert backbone.weights == str(path)
    assert not backbone.module.training
    for name, tensor in backbone.module.state_dict().items():
        torch.testing.assert_close(tensor, state[name], rtol=0, atol=0)
    again = load_backbone("squeezenet1_1", weights=str(path), seed=99)
    assert again.weights_sha256 == backbone.weights_sha256 == weights_sha256(squeezenet)


def test_half_precision_is_cast_to_the_networks_dtype(squeezenet, tmp_path):
    state = {name: tensor.half() for name, tensor in squeezenet.state_dict().items()}
    safetensors.torch.save_file(state, tmp_path / "half.safetensors")
    module = load_backbone("squeezenet1_1", weights=tmp_path / "half.safetensors").module
    assert all(parameter.dtype == torch.float32 for parameter in module.parameters())
    torch.testing.assert_close(
        module.classifier[1].weight.data, state["classifier.1.weight"].float(), rtol=0, atol=0
    )


def test_another_architecture_names_the_first_tensor_and_both_shapes(squeezenet, tmp_path):
    torch.save(squeezenet.state_dict(), tmp_path / "squeezenet1_1.pth")
    first = r"'features\.0\.weight' has shape \(96, 3, 7, 7\) in the network, \(64, 3, 3, 3\) in the file"
    with pytest.raises(WeightsError, match=rf"squeezenet1_1\.pth' for squeezenet1_0 do not fit: {first}"):
        load_backbone("squeezenet1_0", weights=tmp_path / "squeezenet1_1.pth")
    with pytest.raises(WeightsError, match=r"'conv1\.weight' of shape \(64, 3, 7, 7\) is not in the file"):
        load_backbone("resnet18", weights=tmp_path / "squeezenet1_1.pth")


def test_a_tensor_too_many_or_of_another_kind_is_named(squeezenet):
    state = squeezenet.state_dict()
    with pytest.raises(
        WeightsError, match=r"the file has 'features\.99\.bias' of shape \(7,\), the network does not"
    ):
        put_weights(squeezenet1_1(), {**state, "features.99.bias": torch.zeros(7)}, what="weights")
    quantized = {**state, "features.0.weight": torch.zeros(64, 3, 3, 3, dtype=torch.int8)}
    with pytest.raises(
        WeightsError, match=r"'features\.0\.weight' is torch\.float32 in the network, torch\.int8 in the file"
    ):
        put_weights(squeezenet1_1(), quantized, what="weights")


def test_batchnorm_counters_may_be_missing_and_nothing_else():
    network = resnet18()
    state = {name: tensor + 1 for name, tensor in network.state_dict().items()}
    without_counters = {
        name: tensor for name, tensor in state.items() if not name.endswith("num_batches_tracked")
    }
    assert len(without_counters) < len(state)
    put_weights(network, without_counters, what="weights")
    torch.testing.assert_close(network.layer4[1].bn2.running_var, state["layer4.1.bn2.running_var"])
    del without_counters["layer4.1.bn2.running_var"]
    with pytest.raises(
        WeightsError, match=r"'layer4\.1\.bn2\.running_var' of shape \(512,\) is not in the file"
    ):
        put_weights(network, without_counters, what="weights")


def test_files_that_torchvision_itself_converts_are_converted():
    # DenseNet's old names with dots: norm.1 for norm1
    network = densenet121()
    state = network.state_dict()
    old = {
        name.replace("norm1.", "norm.1.").replace("conv2.", "conv.2.")
        if "denselayer" in name
        else name: tensor + 1
        for name, tensor in state.items()
    }
    assert old.keys() != state.keys()
    put_weights(network, old, what="weights")
    key = "features.denseblock1.denselayer1.conv2.weight"
    torch.testing.assert_close(network.state_dict()[key], old[key.replace("conv2.", "conv.2.")])

    # ViT's old names of the two layers of an MLP
    network = VisionTransformer(
        image_size=16, patch_size=8, num_layers=1, num_heads=2, hidden_dim=8, mlp_dim=8, num_classes=2
    )
    old = {
        name.replace("mlp.0.", "mlp.linear_1.").replace("mlp.3.", "mlp.linear_2."): tensor + 1
        for name, tensor in network.state_dict().items()
    }
    put_weights(network, old, what="weights")
    mlp = network.encoder.layers.encoder_layer_0.mlp
    torch.testing.assert_close(mlp[3].bias.data, old["encoder.layers.encoder_layer_0.mlp.linear_2.bias"])

    # MNASNet insists on a version, which .safetensors files do not carry
    network = mnasnet0_5()
    put_weights(network, dict(network.state_dict()), what="weights")


@pytest.mark.parametrize(("name", "part"), [("googlenet", "aux1"), ("inception_v3", "AuxLogits")])
def test_auxiliary_heads_in_a_file_are_left_out(name, part, tmp_path, quick_random_weights):
    backbone = load_backbone(name, weights="none")
    state = {**backbone.module.state_dict(), f"{part}.fc.bias": torch.zeros(1000)}
    safetensors.torch.save_file(state, tmp_path / "weights.safetensors")
    again = load_backbone(name, weights=tmp_path / "weights.safetensors")
    assert again.weights_sha256 == backbone.weights_sha256
    assert again.module.transform_input  # as torchvision's own weights have it


@pytest.mark.parametrize("protocol", [2, 4])
def test_a_pickle_with_code_is_refused_and_not_run(tmp_path, protocol):
    made = tmp_path / "made_by_the_pickle"
    by_torch, plain = tmp_path / "torch.pth", tmp_path / "plain.pkl"
    torch.save({"conv1.weight": Bomb(made)}, by_torch, pickle_protocol=protocol)
    plain.write_bytes(pickle.dumps({"conv1.weight": Bomb(made)}, protocol=protocol))
    for path in (by_torch, plain):
        with pytest.raises(WeightsError, match=r"no code in it was run") as error:
            load_backbone("resnet18", weights=path)
        assert "\n" not in str(error.value)
        if protocol == 2 and path is by_torch:
            assert re.search(
                r"contains code or foreign objects \(_?io\.open\), so it was refused", str(error.value)
            )
    assert not made.exists()
    torch.load(by_torch, weights_only=False)["conv1.weight"].close()
    assert made.exists()  # the bomb is a real one


def test_a_whole_module_is_refused(squeezenet, tmp_path):
    torch.save(squeezenet, tmp_path / "module.pth")
    with pytest.raises(
        WeightsError, match=r"foreign objects \(torchvision\.models\.squeezenet\.SqueezeNet\)"
    ):
        read_weights(tmp_path / "module.pth")


@pytest.mark.parametrize(
    "file", ["broken.safetensors", "broken.pth", "empty.pth", "empty.safetensors", "cut.pth"]
)
def test_damaged_files_are_named(squeezenet, tmp_path, file):
    path = tmp_path / file
    if file == "cut.pth":
        torch.save(squeezenet.state_dict(), path)
        path.write_bytes(path.read_bytes()[:5000])
    else:
        path.write_bytes(b"" if file.startswith("empty") else b"these are no weights")
    with pytest.raises(WeightsError, match=f"{file}' is damaged") as error:
        load_backbone("squeezenet1_1", weights=path)
    assert "\n" not in str(error.value)


def test_other_things_than_a_state_dict_are_named(tmp_path):
    for content, wrong in [
        ([torch.zeros(1)], "contains no state dict, only a list"),
        ({}, "contains no state dict, only a dict"),
        (
            {"state_dict": {"conv1.weight": torch.zeros(1)}, "epoch": 3},
            "'state_dict' is a dict, not a tensor",
        ),
    ]:
        torch.save(content, tmp_path / "weights.pth")
        with pytest.raises(WeightsError, match=wrong):
            read_weights(tmp_path / "weights.pth")


def test_a_missing_file_or_an_unknown_name_lists_the_choices(tmp_path):
    for weights in (tmp_path / "nowhere.pth", "IMAGENET1K_V9", tmp_path):
        with pytest.raises(
            WeightsError, match="neither a file nor one of: default, IMAGENET1K_V1, IMAGENET1K_V2, none"
        ):
            load_backbone("resnet50", weights=weights)


def test_offline_it_says_which_file_to_get_by_hand(monkeypatch, tmp_path):
    def offline(*_, **__):
        raise urllib.error.URLError("no route to host")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", offline)
    expected = r"cannot download squeezenet1_1-b8a52dc0\.pth, the IMAGENET1K_V1 weights of squeezenet1_1 "
    with pytest.raises(WeightsError, match=expected + ".*pass --weights FILE") as error:
        load_backbone("squeezenet1_1")
    assert "\n" not in str(error.value)


def test_default_weights_come_from_torchs_cache(monkeypatch, tmp_path, squeezenet):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    torch.save(squeezenet.state_dict(), folder / "squeezenet1_1-b8a52dc0.pth")
    for weights in ("default", "IMAGENET1K_V1"):
        backbone = load_backbone("squeezenet1_1", weights=weights)
        assert backbone.weights == "IMAGENET1K_V1"
        assert backbone.weights_sha256 == weights_sha256(squeezenet)


def test_rename_by_position_compares_every_shape():
    module = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 3))
    state = {
        f"layer{i}": torch.full(tensor.shape, i) for i, tensor in enumerate(module.state_dict().values())
    }
    renamed = rename_by_position(state, module, what="weights")
    assert {name: int(tensor.flatten()[0]) for name, tensor in renamed.items()} == {
        "0.weight": 0, "0.bias": 1, "1.weight": 2, "1.bias": 3,
    }  # fmt: skip
    state["layer2"] = torch.zeros(4, 3)
    with pytest.raises(
        WeightsError, match=r"'1\.weight' has shape \(3, 3\) in the network, \(4, 3\) \(as layer2\)"
    ):
        rename_by_position(state, module, what="weights")
    del state["layer2"]
    with pytest.raises(WeightsError, match="weights have 3 tensors, the network has 4"):
        rename_by_position(state, module, what="weights")


def test_the_hash_is_over_name_dtype_shape_and_bytes():
    module = nn.Linear(2, 1)
    module.weight.data = torch.tensor([[1.0, 2.0]])
    module.bias.data = torch.tensor([3.0])
    content = (
        b"bias float32 (1,)\n" + b"\0\0\x40\x40" + b"weight float32 (1, 2)\n" + b"\0\0\x80\x3f\0\0\0\x40"
    )
    assert weights_sha256(module) == hashlib.sha256(content).hexdigest()
    before = weights_sha256(module)
    assert weights_sha256(module.bfloat16()) != before


def test_the_hash_sees_values_not_strides():
    module = nn.Conv2d(4, 4, 3)
    before = weights_sha256(module)
    assert weights_sha256(module.to(memory_format=torch.channels_last)) == before
    module.weight.data[0, 0, 0, 0] += 1
    assert weights_sha256(module) != before
