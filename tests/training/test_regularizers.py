"""MaxDropout, AL2, Catch-up Mix: worked numbers, plain loops, hooks that come off."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from hueprobe.errors import BackboneError, InputError, LayerError
from hueprobe.training import AL2, CatchUpMix, MaxDropout, apply_behind
from hueprobe.training.catchup_mix import mix_channels
from hueprobe.training.classifiers import find_classifier, replace_classifier


def small():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Conv2d(6, 8, 3), nn.ReLU(),
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4),
        )  # fmt: skip


def images_of(n, seed=0):
    return torch.randn(n, 3, 8, 8, generator=torch.Generator().manual_seed(seed))


@given(st.lists(st.floats(-10, 10, width=32), min_size=1, max_size=30), st.floats(0.01, 1))
@settings(max_examples=60, deadline=None)
def test_max_dropout_is_the_formula(values, rate):
    found = MaxDropout(rate)(torch.tensor(values, dtype=torch.float64)).tolist()
    low, high = min(values), max(values)
    for before, after in zip(values, found, strict=True):
        scaled = (before - low) / (high - low) if high > low else 0
        if abs(scaled - (1 - rate)) > 1e-9:
            assert after == (0 if high > low and scaled > 1 - rate else before)


def test_max_dropout_modes_and_constant_tensors():
    values = torch.tensor([[1.0, 2.0], [9.0, 10.0]])
    assert MaxDropout(0.3)(values).tolist() == [[1, 2], [0, 0]]
    assert torch.equal(MaxDropout(0.3).eval()(values), values)
    assert MaxDropout(0.3, mode="original").eval()(values).tolist() == [[1, 2], [0, 0]]
    assert torch.equal(MaxDropout(0.9)(torch.full((3,), 2.0)), torch.full((3,), 2.0))
    with pytest.raises(InputError, match=r"rate of MaxDropout is 1\.5"):
        MaxDropout(1.5)
    with pytest.raises(InputError, match="standard, original"):
        MaxDropout(mode="paper")


def test_what_stands_behind_a_layer_follows_its_mode_and_comes_off():
    network, images = small(), images_of(3)
    alone = network(images)
    with apply_behind(network, ["1", "3"], MaxDropout(0.3)):
        assert not torch.equal(network.train()(images), alone)
        assert torch.equal(network.eval()(images), alone)
    network.train()
    assert torch.equal(network(images), alone)
    with pytest.raises(ZeroDivisionError), apply_behind(network, ["1"], nn.Dropout(0.5)):
        raise ZeroDivisionError
    assert not any(part._forward_hooks for part in network.modules())
    with (
        pytest.raises(LayerError, match="no layer 'layer9'"),
        apply_behind(network, ["layer9"], MaxDropout()),
    ):
        pass
    with pytest.raises(InputError, match="at least one layer"), apply_behind(network, "1", MaxDropout()):
        pass


def test_al2_grows_as_the_paper_says():
    al2 = AL2()
    weights = [al2.weight_at(epoch) for epoch in range(250)]
    assert weights[0] == 0.01 and weights[65] < 5 <= weights[66]
    assert weights[99] == pytest.approx(7.49, abs=5e-3)
    assert weights[249] == pytest.approx(33.3, abs=5e-2)
    al2.start_epoch(66)
    assert al2.weight == weights[66]
    features = torch.tensor([[1.0, -2.0], [0.0, 3.0]])
    assert float(al2(features)) == pytest.approx(weights[66] * 14 / 4)


def test_al2_reads_what_goes_into_the_classifier():
    network, images = small(), images_of(3)
    al2 = AL2.before(network)
    with pytest.raises(LayerError, match="has seen no features"):
        al2.penalty()
    network(images)
    features = network[:6](images)
    assert torch.allclose(al2.penalty(), 0.01 * (features**2).mean())
    al2.penalty().backward()
    assert network[0].weight.grad is not None and network[6].weight.grad is None
    with pytest.raises(LayerError, match="no layer 'head'"):
        AL2.before(network, layer="head")
    with pytest.raises(InputError, match="growth of AL2 is nan"):
        AL2(growth=math.nan)


def by_loop(x, partner, share):
    mixed = x.copy()
    norms = np.sqrt((x**2).sum((2, 3)))
    norms /= norms.sum(1, keepdims=True)
    for i in range(len(x)):
        influence = norms[i] - norms[partner[i]]
        kept = sorted(range(x.shape[1]), key=lambda c: (influence[c], c))[: math.floor(share * x.shape[1])]
        for channel in range(x.shape[1]):
            if channel not in kept:
                mixed[i, channel] = x[partner[i], channel]
    return mixed


@given(seed=st.integers(0, 200), share=st.floats(0, 1))
@settings(max_examples=40, deadline=None)
def test_catch_up_mix_is_a_plain_loop(seed, share):
    rng = np.random.default_rng(seed)
    x, partner = rng.normal(size=(4, 7, 3, 2)).astype(np.float32), rng.permutation(4)
    found = mix_channels(torch.from_numpy(x), torch.from_numpy(partner), share)
    assert np.array_equal(found.numpy(), by_loop(x, partner, share))


def test_catch_up_mix_mixes_once_in_training_only_at_every_place_and_labels_by_share():
    network, images, targets = small(), images_of(6), torch.arange(6) % 4
    alone = network(images)
    mix = CatchUpMix(network, ["1", "3"], seed=1)
    places = set()
    for _ in range(30):
        mixed = mix.start(images, targets)
        places.add(mixed.layer)
        logits = network(mixed.images)
        assert torch.equal(network(images), alone)  # armed for one pass
        criterion = nn.functional.cross_entropy
        by_hand = mixed.share * criterion(logits, mixed.targets) + (1 - mixed.share) * criterion(
            logits, mixed.partners
        )
        assert torch.equal(mixed.loss(criterion, logits), by_hand)
        if not mixed.layer:
            own = (mixed.images == images).all(1).double().mean((1, 2))
            moved = mixed.partners != targets  # another class is another image here
            assert torch.allclose(own[moved], torch.full_like(own[moved], mixed.share), atol=1e-6)
    assert places == {"", "1", "3"}
    mix.start(images, targets)
    assert torch.equal(network.eval()(images), alone)
    mix.remove()
    assert not any(part._forward_hooks for part in network.modules())


def test_catch_up_mix_draws_the_same_in_an_epoch_that_is_started_again():
    network, images, targets = small(), images_of(6), torch.arange(6) % 4
    mix = CatchUpMix(network, ["1"], seed=1)

    def draws(epoch):
        mix.start_epoch(epoch)
        return [(mixed.layer, mixed.share) for mixed in (mix.start(images, targets) for _ in range(5))]

    assert draws(3) == draws(3) != draws(4)
    with pytest.raises(LayerError, match="no layer 'stage1'"):
        CatchUpMix(network, ["stage1"])
    with pytest.raises(InputError, match="alpha of Catch-up Mix is 0"):
        CatchUpMix(network, ["1"], alpha=0)
    flat = CatchUpMix(network, ["5"], at_input=False)
    flat.start(images, targets)
    with pytest.raises(LayerError, match=r"needs maps \(B, C, H, W\)"):
        network.train()(images)


def test_the_classifier_is_found_and_replaced_under_a_seed():
    first, second = small(), small()
    assert find_classifier(first) == "6"
    for network in (first, second):
        replace_classifier(network, 11, seed=5)
    assert first[6].weight.shape == (11, 8) and torch.equal(first[6].weight, second[6].weight)
    convolutional = nn.Sequential(nn.Conv2d(3, 5, 1), nn.ReLU(), nn.Flatten())
    replace_classifier(convolutional, 7, seed=0)
    assert convolutional[0].weight.shape == (7, 3, 1, 1)
    with pytest.raises(BackboneError, match="so it has no classifier"):
        find_classifier(nn.Sequential(nn.ReLU()))
    with pytest.raises(InputError, match="num_classes is 1"):
        replace_classifier(first, 1, seed=0)
