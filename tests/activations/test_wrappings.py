"""Weights as people have them: other heads, prefixes, containers, averages; and what is no such file."""

import argparse
import json
import re
from collections import OrderedDict

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn
from torchvision.models import resnet18

from hueprobe.activations import Extractor, load_backbone, load_backbones
from hueprobe.activations.reach import tensors_behind
from hueprobe.errors import HueprobeWarning, WeightsError
from hueprobe.images.transform import Transform
from hueprobe.training.checkpoints import Checkpoint, save_checkpoint

NETWORK = "tests.activations.test_wrappings:network"


def network(n_classes=4):
    """Two convolutions, a head that the second is not computed from, and a branch that runs before it."""
    with torch.random.fork_rng():
        torch.manual_seed(n_classes)
        return nn.Sequential(
            OrderedDict(
                conv=nn.Conv2d(3, 6, 3, stride=4),
                norm=nn.BatchNorm2d(6),
                last=nn.Conv2d(6, 5, 3),
                pool=nn.AdaptiveAvgPool2d(1),
                flat=nn.Flatten(),
                fc=nn.Linear(5, n_classes),
            )
        )


@pytest.fixture
def state():
    """Weights that are nobody's initialization."""
    generator = torch.Generator().manual_seed(9)
    return {
        name: torch.rand(tensor.shape, generator=generator).to(tensor.dtype)
        for name, tensor in network().state_dict().items()
    }


def prefixed(state, prefix):
    return {prefix + name: tensor for name, tensor in state.items()}


def load(path, **options):
    return load_backbone(NETWORK, weights=path, layer="last", **options)


def require_loaded(backbone, state, *, without=()):
    """The network holds these tensors, and its tap gives what they give."""
    own = backbone.module.state_dict()
    for name in state.keys() - set(without):
        assert torch.equal(own[name], state[name]), name
    plain = network().eval()
    plain.load_state_dict({**plain.state_dict(), **{k: v for k, v in state.items() if k not in without}})
    images = torch.rand(2, 3, 40, 40, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = plain.last(plain.norm(plain.conv(images)))
    np.testing.assert_allclose(Extractor(backbone, device="cpu")(images), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "prefix",
    [
        "module.", "_orig_mod.", "network.", "model.", "backbone.", "module._orig_mod.",
        "_orig_mod.module.model.", "x.y.",
    ],
)  # fmt: skip
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_prefix_is_taken_off_with_a_word(tmp_path, state, prefix, suffix):
    path = tmp_path / f"weights{suffix}"
    (safetensors.torch.save_file if suffix == ".safetensors" else torch.save)(prefixed(state, prefix), path)
    with pytest.warns(HueprobeWarning, match=r"took (the names of wrappers|'.*' off the names)") as said:
        backbone = load(path)
    assert len(said) == 1 and "\n" not in str(said[0].message)
    require_loaded(backbone, state)
    torch.save(state, tmp_path / "plain.pth")
    assert load(tmp_path / "plain.pth").weights_sha256 == backbone.weights_sha256


def test_names_of_wrappers_are_taken_out_of_the_middle(tmp_path, state):
    torch.save({name.replace("norm.", "norm._orig_mod."): v for name, v in state.items()}, tmp_path / "w.pth")
    with pytest.warns(HueprobeWarning, match="wrappers such as '_orig_mod.'"):
        require_loaded(load(tmp_path / "w.pth"), state)


@pytest.mark.parametrize(
    "keys", [("state_dict",), ("model",), ("model", "state_dict"), ("model_ema",), ("weights",)]
)
def test_a_container_is_opened_with_a_word(tmp_path, state, keys):
    content = state
    for key in reversed(keys):
        content = {key: content}
    optimizer = torch.optim.Adam(network().parameters()).state_dict()
    content |= {
        "epoch": 3, "optimizer": optimizer, "args": argparse.Namespace(lr=0.1), "best": np.float64(0.5),
        "loss": torch.tensor(0.25), "step": np.int64(3),
    }  # fmt: skip
    torch.save(content, tmp_path / "w.pth")
    with pytest.warns(HueprobeWarning, match=re.escape(f"took {' > '.join(map(repr, keys))}")):
        require_loaded(load(tmp_path / "w.pth"), state)


def test_numbers_beside_the_tensors_are_left_out(tmp_path, state):
    torch.save({**state, "epoch": 3, "name": "x"}, tmp_path / "w.pth")
    require_loaded(load(tmp_path / "w.pth"), state)


@pytest.mark.parametrize("ema", ["model_ema", "state_dict_ema", "ema", "ema_state_dict", "teacher"])
def test_of_plain_and_averaged_weights_the_plain_are_taken_and_the_way_to_the_others_said(
    tmp_path, state, ema
):
    averaged = {name: tensor + 1 for name, tensor in state.items()}
    # As torch's AveragedModel has it.
    content = {ema: {"n_averaged": torch.tensor(7), **prefixed(averaged, "module.")}, "state_dict": state}
    torch.save(content, tmp_path / "w.pth")
    with pytest.warns(HueprobeWarning, match="took 'state_dict'") as said:
        require_loaded(load(tmp_path / "w.pth"), state)
    text = str(said[0].message)
    assert f"left the averaged (EMA) weights in its '{ema}' behind 'module.'" in text
    code = text[text.index("s = torch.load") :].replace("'w.pth'", repr(str(tmp_path / "w.pth")))
    exec(code.replace("'weights.pth'", repr(str(tmp_path / "ema.pth"))), {"torch": torch})
    require_loaded(load(tmp_path / "ema.pth"), averaged)


def test_an_average_alone_is_taken(tmp_path, state):
    torch.save({"n_averaged": torch.tensor(7), **prefixed(state, "module.")}, tmp_path / "w.pth")
    with pytest.warns(HueprobeWarning, match="took 'module.' off the names; left out 'n_averaged'"):
        require_loaded(load(tmp_path / "w.pth"), state)


def test_two_weights_that_fit_alike_are_not_chosen_from(tmp_path, state):
    other = {name: tensor + 1 for name, tensor in state.items()}
    torch.save({"generator": state, "critic": other}, tmp_path / "w.pth")
    with pytest.raises(
        WeightsError, match=r"several places: its 'generator', its 'critic'; to take .*torch.save"
    ):
        load(tmp_path / "w.pth")
    torch.save({**prefixed(state, "encoder_q."), **prefixed(other, "encoder_k.")}, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match=r"it behind 'encoder_q.', it behind 'encoder_k.'"):
        load(tmp_path / "w.pth")
    torch.save({"model": state, "net": dict(state)}, tmp_path / "w.pth")  # one thing twice
    with pytest.warns(HueprobeWarning, match="took 'model'"):
        require_loaded(load(tmp_path / "w.pth"), state)


def test_hueprobes_own_checkpoint_is_taken(tmp_path, state):
    objective = {**prefixed(state, "network."), "beside.head.layers.0.weight": torch.ones(2, 5)}
    parts = {"objective": objective, "optimizer": torch.optim.Adam(network().parameters()).state_dict()}
    save_checkpoint(tmp_path / "checkpoint.pt", Checkpoint({"seed": 0}, 2, parts, [{"loss": 0.5}]))
    with pytest.warns(
        HueprobeWarning, match="took 'state' > 'objective'; took 'network.' off the names; left"
    ):
        require_loaded(load(tmp_path / "checkpoint.pt"), state)


def test_the_network_may_be_wrapped_where_the_file_is_not(tmp_path, state):
    torch.save(state, tmp_path / "w.pth")
    backbone = load_backbone(
        f"{NETWORK.partition(':')[0]}:wrapped", weights=tmp_path / "w.pth", layer="module.last"
    )
    assert torch.equal(backbone.module.module.last.weight, state["last.weight"])


def wrapped():
    return nn.DataParallel(network())


HEAD = ("fc.weight", "fc.bias")


@pytest.mark.parametrize("case", ["classes", "none", "other name", "deeper"])
def test_a_head_of_its_own_is_not_loaded_and_said(tmp_path, state, case):
    body = {name: tensor for name, tensor in state.items() if name not in HEAD}
    heads = {
        "classes": {"fc.weight": torch.rand(7, 5), "fc.bias": torch.rand(7)},
        "none": {},
        "other name": {"head.weight": torch.rand(7, 5)},
        "deeper": {"fc.1.weight": torch.rand(7, 5), "fc.1.bias": torch.rand(7)},
    }
    words = {
        "classes": r"'fc.weight', \(4, 5\) in the network, has shape \(7, 5\) in the file \(and 1 more\):",
        "none": r"'fc.weight', \(4, 5\) in the network, is not in the file \(and 1 more\): not loaded",
        "other name": "the network has no 'head.weight' of the file: not loaded",
        "deeper": r"the network has no 'fc.1.weight' of the file \(and 1 more\): not loaded",
    }
    torch.save({**body, **heads[case]}, tmp_path / "w.pth")
    with pytest.warns(HueprobeWarning, match=words[case]):
        backbone = load(tmp_path / "w.pth")
    require_loaded(backbone, body)
    with pytest.warns(HueprobeWarning):  # the head's random numbers are nobody's business
        assert load(tmp_path / "w.pth", seed=5).weights_sha256 == backbone.weights_sha256
    body["last.weight"][0, 0, 0, 0] += 1
    torch.save({**body, **heads[case]}, tmp_path / "w.pth")
    with pytest.warns(HueprobeWarning):
        assert load(tmp_path / "w.pth").weights_sha256 != backbone.weights_sha256


def test_what_the_layer_needs_stays_an_error_that_names_the_nearest(tmp_path, state):
    bad = {**state, "last.weight": torch.zeros(5, 6, 1, 1)}
    torch.save(bad, tmp_path / "w.pth")
    with pytest.raises(
        WeightsError,
        match=r"'last.weight' has shape \(5, 6, 3, 3\) in the network, \(5, 6, 1, 1\) in the file",
    ):
        load(tmp_path / "w.pth")
    bad = {name.replace("last.weight", "last.kernel"): tensor for name, tensor in state.items()}
    torch.save(bad, tmp_path / "w.pth")
    near = r"'last.weight' of shape .* is not in the file; the nearest there: 'last.kernel' of shape \(5, 6"
    with pytest.raises(WeightsError, match=near):
        load(tmp_path / "w.pth")
    del bad["last.kernel"], bad["norm.running_mean"]
    torch.save(bad, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match=r"'norm.running_mean' of shape"):
        load(tmp_path / "w.pth")
    torch.save({**state, "norm.other": torch.zeros(2)}, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match=r"the file has 'norm.other' of shape \(2,\), the network has not"):
        load(tmp_path / "w.pth")


def test_behind_a_layer_is_what_runs_after_it(tmp_path, state):
    """The layer that is asked for decides, not the head's name: what lies behind may be another network's."""
    without = {name: tensor for name, tensor in state.items() if not name.startswith("last.")}
    torch.save(without, tmp_path / "w.pth")
    with pytest.warns(HueprobeWarning, match=r"'last\.weight', .* in the network, is not in the file"):
        backbone = load_backbone(NETWORK, weights=tmp_path / "w.pth", layer="norm")
    assert torch.equal(backbone.module.conv.weight, state["conv.weight"])
    with pytest.raises(WeightsError, match=r"'last\.weight' of shape"):
        load(tmp_path / "w.pth")
    with pytest.raises(WeightsError, match=r"'last\.weight' of shape"):
        load_backbones(NETWORK, layers=["norm", "last"], weights=tmp_path / "w.pth")


class Odd(nn.Module):
    """Reads tensors in ways that no module's call shows."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3)
        self.scale = nn.Parameter(torch.ones(4, 1, 1))
        self.tied = nn.Conv2d(3, 4, 3)
        self.tied.weight = self.stem.weight
        self.functional = nn.Linear(4, 4)  # its forward never runs
        self.tap = nn.ReLU()
        self.after = nn.Linear(4, 2)
        self.unused = nn.Linear(4, 2)

    def forward(self, images):
        grid = self.tap(self.stem(images) * self.scale)
        grid = nn.functional.linear(grid.movedim(1, -1), self.functional.weight.t()).movedim(-1, 1)
        grid = self.tap(grid)  # the last run counts
        return self.after(grid.mean((2, 3)))


@pytest.mark.parametrize("numbers", [False, True])
def test_behind_is_what_no_operation_reads_before(numbers):
    odd = Odd().eval()
    if numbers:  # a network that cannot be run for its shapes alone
        odd.stem.register_forward_hook(lambda *args: float(args[2].sum()) and None)
    behind = tensors_behind(odd, ["tap"], torch.rand(1, 3, 8, 8))
    assert behind == {
        "tied.bias", "functional.bias", "after.weight", "after.bias", "unused.weight", "unused.bias",
    }  # fmt: skip
    assert tensors_behind(odd, ["unused"], torch.rand(1, 3, 8, 8)) == frozenset()  # does not run: in doubt
    assert not odd._forward_hooks and not odd.tap._forward_hooks


def test_a_resnet_of_five_classes_gives_its_layer4(tmp_path, images):
    with torch.random.fork_rng():
        torch.manual_seed(2)
        five = resnet18(num_classes=5).eval()
    torch.save(prefixed(five.state_dict(), "module."), tmp_path / "five.pth")
    with pytest.warns(HueprobeWarning) as said:
        backbone = load_backbone("resnet18", weights=tmp_path / "five.pth")
    assert len(said) == 2
    with torch.no_grad():
        grid = five.layer4(
            five.layer3(five.layer2(five.layer1(five.maxpool(five.relu(five.bn1(five.conv1(images)))))))
        )
    np.testing.assert_allclose(Extractor(backbone, device="cpu")(images), grid, rtol=1e-4, atol=1e-5)


def test_the_transform_that_training_wrote_down_is_taken(tmp_path, state):
    trained_with = Transform(resize=36, crop=32)
    record = {"backbone": NETWORK, "weights": "weights.safetensors", "transform": trained_with.to_json()}
    safetensors.torch.save_file(state, tmp_path / "weights.safetensors")
    safetensors.torch.save_file(state, tmp_path / "other.safetensors")
    plain = load(tmp_path / "weights.safetensors").transform
    (tmp_path / "config.json").write_text(json.dumps(record))
    assert load(tmp_path / "weights.safetensors").transform == trained_with
    assert load(tmp_path / "other.safetensors").transform == plain != trained_with
    assert load(tmp_path / "weights.safetensors", transform=plain).transform == plain
    (tmp_path / "other.json").write_text(json.dumps({**record, "weights": "other.safetensors"}))
    assert load(tmp_path / "other.safetensors").transform == trained_with
    (tmp_path / "config.json").write_text(json.dumps({**record, "transform": {"resize": 3}}))
    with pytest.raises(WeightsError, match=r"config\.json has no transform that can be used: settings of"):
        load(tmp_path / "weights.safetensors")
    for text in ("{", "[]", '{"architectures": ["x"]}', json.dumps({**record, "backbone": "resnet18"})):
        (tmp_path / "config.json").write_text(text)
        assert load(tmp_path / "weights.safetensors").transform == plain


def test_a_file_without_tensors_is_no_weights(tmp_path):
    torch.save({"epoch": 3, "args": {"a": [1]}}, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match="holds no state dict"):
        load(tmp_path / "w.pth")
