"""Networks of other people's making: left as they were found, and their failures said in one sentence."""

import sys
import textwrap

import numpy as np
import pytest
import torch
from torch import nn
from torchvision.models import resnet18

from hueprobe.activations import Extractor, describe_backbone, load_backbone
from hueprobe.errors import BackboneError

HERE = "tests.activations.test_foreign_code"


class Adapted(nn.Linear):
    """A layer of low rank beside another, which merges into it in eval mode, as loralib's do."""

    def __init__(self, n_in, n_out):
        super().__init__(n_in, n_out)
        self.down = nn.Parameter(torch.randn(2, n_in, generator=torch.Generator().manual_seed(1)) / 3)
        self.up = nn.Parameter(torch.randn(n_out, 2, generator=torch.Generator().manual_seed(2)) / 3)
        self.merged, self.n_changes = False, 0

    def train(self, mode=True):
        super().train(mode)
        if self.merged == mode:
            self.weight.data += (-1 if mode else 1) * (self.up @ self.down).data
            self.merged, self.n_changes = not mode, self.n_changes + 1
        return self

    def forward(self, values):
        beside = 0 if self.merged else values @ self.down.T @ self.up.T
        return super().forward(values) + beside


class Cells(nn.Module):
    """A grid whose channels are mixed by an adapted layer, and a normalization that is kept in eval mode."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 3, stride=2)
        self.norm = nn.BatchNorm2d(6)
        self.mixed = Adapted(6, 4)
        self.tap = nn.Identity()

    def forward(self, images):
        grid = self.norm(self.conv(images))
        return self.tap(self.mixed(grid.movedim(1, -1)).movedim(-1, 1))


def found(network):
    modes = [part.training for part in network.modules()]
    return modes, network.mixed.merged, {k: v.clone() for k, v in network.state_dict().items()}


FOUND = {
    "training": lambda network: network.train(),
    "frozen normalization": lambda network: (network.train(), network.norm.eval()),
    "merged in training": lambda network: (network.train(), network.mixed.eval()),
    "open in eval mode": lambda network: (network.eval(), network.mixed.train()),
    "eval": lambda network: network.eval(),
}


@pytest.mark.parametrize("state", FOUND)
def test_a_network_is_left_as_it_was_found(images, state):
    network = Cells()
    FOUND[state](network)
    modes, merged, before = found(network)
    extractor = Extractor(load_backbone(network, layer="tap"), device="cpu")
    for _ in range(3):
        got = extractor(images)
    assert found(network)[:2] == (modes, merged)
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, before[name]), name
    with torch.no_grad():  # what was seen is eval mode
        expected = network.eval()(images)
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)


def test_a_network_in_eval_mode_is_not_asked_to_change(images):
    network = Cells().eval()
    n_changes = network.mixed.n_changes
    Extractor(load_backbone(network, layer="tap"), device="cpu")(images)
    assert network.mixed.n_changes == n_changes


def test_a_network_is_left_as_it_was_after_a_failure(images):
    network = Cells().train()
    modes, merged, before = found(network)
    extractor = Extractor(load_backbone(network, layer="tap"), device="cpu")
    with pytest.raises(BackboneError):
        extractor(images[:, :2])
    assert found(network)[:2] == (modes, merged)
    assert torch.equal(network.mixed.weight, before["mixed.weight"])


class KeepsFlag(nn.Conv2d):
    """Its `train` is deaf, as a frozen layer's."""

    def train(self, mode=True):
        return super().train(False)


def test_the_flag_of_a_module_whose_train_is_deaf_is_put_back(images):
    network = nn.Sequential(KeepsFlag(3, 4, 3), nn.ReLU())
    assert network[0].training  # as it was made
    Extractor(load_backbone(network, layer="1"), device="cpu")(images)
    assert [part.training for part in network.modules()] == [True] * 3


class Remembers(nn.Module):
    """Keeps a table of the size that it saw, as rotary and windowed attention do."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.table = {}

    def forward(self, images):
        grid = self.conv(images)
        if grid.shape not in self.table:
            self.table[grid.shape] = torch.ones(grid.shape[2:], device=grid.device).cumsum(0)
        return grid * self.table[grid.shape] * self.conv.weight.mean()


def test_what_a_network_keeps_of_a_pass_serves_the_next_backward(images):
    network = Remembers()
    Extractor(load_backbone(network, layer="conv"), device="cpu")(images)
    network(images.requires_grad_()).sum().backward()
    assert network.conv.weight.grad.abs().sum() > 0 and images.grad is not None


class Raises(nn.Module):
    """Raises in its forward pass, on every image or on bright ones."""

    def __init__(self, error, *, bright=False):
        super().__init__()
        self.conv, self.error, self.bright = nn.Conv2d(3, 4, 3), error, bright

    def forward(self, images):
        grid = self.conv(images)
        if not self.bright or images.mean() > 0:
            raise self.error
        return grid


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ValueError("no such thing\nsecond line"), "ValueError: no such thing"),
        (TypeError("bad operand"), "TypeError: bad operand"),
        (KeyError("x"), "KeyError: 'x'"),
        (ZeroDivisionError("by zero"), "ZeroDivisionError: by zero"),
        (NotImplementedError(), "NotImplementedError"),
        (OSError(2, "No such file", "x"), "FileNotFoundError: "),
        (RuntimeError("shapes cannot be multiplied"), "shapes cannot be multiplied"),
        (AssertionError("Input height (16) doesn't match"), "Input height"),
        (StopIteration(), "StopIteration"),
    ],
)
def test_what_a_network_raises_is_one_sentence_with_its_cause(images, error, said):
    extractor = Extractor(load_backbone(Raises(error), layer="conv"), device="cpu")
    with pytest.raises(BackboneError) as caught:
        extractor(images)
    text = str(caught.value)
    assert text.startswith(f"live Raises fails on images of shape (3, 3, 16, 16): {said}")
    assert "\n" not in text and caught.value.__cause__ is error


def test_ctrl_c_in_a_network_is_no_failure_of_it(images):
    extractor = Extractor(load_backbone(Raises(KeyboardInterrupt()), layer="conv"), device="cpu")
    with pytest.raises(KeyboardInterrupt):
        extractor(images)


def normed_raises():
    return nn.Sequential(nn.BatchNorm2d(3), Raises(ValueError("no such thing")))


def resnet_raises():
    network = resnet18()
    network.conv1 = Raises(ValueError("no such thing"))
    return network


def test_a_network_that_fails_while_it_is_made_ready_is_one_sentence():
    with pytest.raises(BackboneError, match="normed_raises fails on random images: ValueError: no such"):
        load_backbone(f"{HERE}:normed_raises", weights="none", layer="0")
    with pytest.raises(BackboneError, match=r"resnet_raises fails on images of .*: ValueError"):
        describe_backbone(f"{HERE}:resnet_raises")


MODULES = {
    "syntax": ("def make(:\n", "SyntaxError: invalid syntax"),
    "name": ("undefined_name\n", "it raised NameError: name 'undefined_name' is not defined"),
    "exits": ("raise SystemExit('usage: train.py DATA')\n", "it raised SystemExit: usage: train.py DATA"),
    "value": ("raise ValueError('bad')\n", "ValueError: bad"),
    "attribute": ("import os\nos.no_such\n", "it raised AttributeError: module 'os' has no attribute"),
}


@pytest.mark.parametrize("name", MODULES)
def test_a_module_that_cannot_be_imported_is_one_sentence(tmp_path, monkeypatch, name):
    source, said = MODULES[name]
    (tmp_path / f"foreign_{name}.py").write_text(source)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BackboneError, match=f"cannot import 'foreign_{name}' .*{said}") as caught:
        load_backbone(f"foreign_{name}:make")
    assert "\n" not in str(caught.value) and caught.value.__cause__ is not None


CALLABLES = {
    "needs_one": (
        "def make(n_classes): pass",
        "TypeError: make\\(\\) missing 1 required",
    ),
    "value": ("def make(): raise ValueError('bad\\nworse')", "ValueError: bad; it must return an nn.Module"),
    "file": ("def make(): open('no_such_file')", "FileNotFoundError: .*no_such_file"),
    "exits": ("def make(): raise SystemExit(2)", "SystemExit: 2"),
    "instance": ("import torch\nmake = torch.nn.ReLU()", "TypeError"),
}


@pytest.mark.parametrize("name", CALLABLES)
def test_a_callable_that_raises_is_one_sentence(tmp_path, monkeypatch, name):
    source, said = CALLABLES[name]
    (tmp_path / f"calls_{name}.py").write_text(textwrap.dedent(source))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        BackboneError, match=f"{name}:make, called without arguments, raised {said}"
    ) as caught:
        load_backbone(f"calls_{name}:make")
    assert "\n" not in str(caught.value) and caught.value.__cause__ is not None


class Plain(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, images):
        return self.conv(images)


class Holds(nn.Module):
    def __init__(self, part):
        super().__init__()
        self.part, self.after = part, nn.ReLU()

    def forward(self, images):
        return self.after(self.part(images))


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
@pytest.mark.parametrize("how", ["script", "trace"])
def test_what_torchscript_compiled_cannot_be_tapped(images, how):
    made = torch.jit.script(Plain()) if how == "script" else torch.jit.trace(Plain(), images)
    for layer in (None, "conv", ""):
        with pytest.raises(BackboneError, match=r"is compiled by TorchScript .* the nn.Module that it"):
            load_backbone(made, layer=layer)
    for layer in ("part", "part.conv"):
        with pytest.raises(BackboneError, match="layer 'part' of live Holds is compiled by TorchScript"):
            load_backbone(Holds(made), layer=layer)
    grid = Extractor(load_backbone(Holds(made), layer="after"), device="cpu")(images)
    np.testing.assert_allclose(grid, made(images).relu().detach(), rtol=1e-5, atol=1e-6)


def test_a_lazy_network_is_asked_to_run_once(images):
    network = nn.Sequential(nn.LazyConv2d(4, 3), nn.LazyBatchNorm2d(), nn.ReLU())
    with pytest.raises(BackboneError, match=r"live Sequential is lazy: '0\.weight' has no shape .* run it"):
        load_backbone(network, layer="2")
    network(images)
    assert Extractor(load_backbone(network, layer="2"), device="cpu")(images).shape == (3, 4, 14, 14)


def test_a_network_without_numbers_is_refused():
    with torch.device("meta"):
        network = Plain()
    with pytest.raises(BackboneError, match=r"has no numbers: 'conv\.weight' is on torch's meta device"):
        load_backbone(network, layer="conv")


def test_a_failing_callable_leaves_the_path_of_modules_as_it_was(tmp_path, monkeypatch):
    (tmp_path / "fails_once.py").write_text("def make(): raise ValueError")
    monkeypatch.chdir(tmp_path)
    before = list(sys.path)
    with pytest.raises(BackboneError):
        load_backbone("fails_once:make")
    assert sys.path == before
