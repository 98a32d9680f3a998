"""The hue loss against plain loops and worked numbers; heads that leave the network as it was."""

import math

import pytest
import torch
import torchvision
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from hueprobe.errors import InputError, LayerError, ShapeError
from hueprobe.training import HueHead, HueLoss, LayerWatch, hue_labels, spread_labels

VARIANTS = ("eq5", "chord", "l2")


def by_loop(points, targets, labels, variant):
    """The loss as Eq. (4) and (5) say it, one number after the other."""
    total, n_classes = 0.0, len(labels)
    for point, target in zip(points.tolist(), targets.tolist(), strict=True):
        d = [
            math.sqrt(sum((t - p) ** 2 for t, p in zip(label, point, strict=True)))
            for label in labels.tolist()
        ]
        if variant == "l2":
            total += d[target] ** 2
        else:
            d = [value / (2 * n_classes) for value in d] if variant == "eq5" else d
            total += -math.log(math.exp(-d[target]) / sum(math.exp(-value) for value in d))
    return total / len(points)


@given(n_classes=st.integers(2, 40), seed=st.integers(0, 99), variant=st.sampled_from(VARIANTS))
@settings(max_examples=30, deadline=None)
def test_equals_a_plain_loop(n_classes, seed, variant):
    generator = torch.Generator().manual_seed(seed)
    labels = hue_labels(n_classes, seed)
    points = torch.randn(5, 2, generator=generator)
    targets = torch.randint(n_classes, (5,), generator=generator)
    found = HueLoss(labels, variant=variant)(points, targets)
    assert float(found) == pytest.approx(by_loop(points, targets, labels, variant), rel=1e-5)
    half = HueLoss(labels, variant=variant, weight=0.5)(points, targets)
    assert float(half) == pytest.approx(0.5 * float(found), rel=1e-6)


@pytest.mark.parametrize("variant", VARIANTS)
def test_gradients_are_right_in_float64(variant):
    points = torch.randn(
        4, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True
    )
    loss = HueLoss(hue_labels(7, 0).double(), variant=variant)
    assert torch.autograd.gradcheck(lambda p: loss(p, torch.tensor([0, 3, 6, 6])), points)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("project", [False, True])
def test_values_and_gradients_are_finite_at_the_center_and_on_the_label(variant, project):
    labels = hue_labels(5, 0)
    start = torch.stack((torch.zeros(2), labels[1])).requires_grad_()
    points = start
    if project:
        from hueprobe.training.heads import on_circle

        points = on_circle(start)
    HueLoss(labels, variant=variant)(points, torch.tensor([0, 1])).backward()
    assert torch.isfinite(start.grad).all()


@pytest.mark.parametrize("n_classes", [10, 100])
def test_eq5_pulls_from_the_center_with_one_over_two_m(n_classes):
    points = torch.zeros(1, 2, requires_grad=True)
    HueLoss(hue_labels(n_classes, 0))(points, torch.tensor([3])).backward()
    assert float(points.grad.norm()) == pytest.approx(1 / (2 * n_classes), rel=1e-4)


def test_l2_is_zero_at_the_label_and_labels_are_their_own_best_answer():
    labels = hue_labels(12, 3)
    targets = torch.arange(12)
    assert float(HueLoss(labels, variant="l2")(labels, targets)) == 0
    for variant in ("eq5", "chord"):
        loss = HueLoss(labels, variant=variant)
        assert float(loss(labels, targets)) < float(loss(labels.roll(1, 0), targets))


def test_half_precision_does_not_blur_eq5():
    labels, targets = hue_labels(100, 0), torch.arange(100)
    loss = HueLoss(labels)
    with torch.autocast("cpu", torch.bfloat16):
        right, wrong = loss(labels.bfloat16(), targets), loss(-labels.bfloat16(), targets)
    assert right.dtype == torch.float32
    assert float(wrong - right) == pytest.approx(0.01, rel=0.05)  # d is 2 / (2 M) farther


@given(n_classes=st.integers(2, 200), seed=st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_labels_are_equally_spaced_in_another_order(n_classes, seed):
    labels = hue_labels(n_classes, seed)
    angles = torch.atan2(labels[:, 1], labels[:, 0]).remainder(2 * math.pi)
    places = (angles * n_classes / (2 * math.pi)).round().long().remainder(n_classes)
    assert places.sort().values.tolist() == list(range(n_classes))
    assert torch.equal(labels, hue_labels(n_classes, seed))


def test_labels_differ_by_seed_and_leave_the_global_generator_alone():
    before = torch.get_rng_state()
    assert not torch.equal(hue_labels(20, 0), hue_labels(20, 1))
    HueHead((4, 2, 2), seed=0)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("dimensions", [3, 8])
def test_spread_labels_are_on_the_sphere_and_apart(dimensions):
    labels = spread_labels(17, 0, dimensions=dimensions)
    assert labels.shape == (17, dimensions)
    assert torch.allclose(labels.norm(dim=1), torch.ones(17), atol=1e-5)
    assert float(torch.pdist(labels).min()) > 0.5
    assert torch.equal(spread_labels(17, 0, dimensions=2), hue_labels(17, 0))


def test_bad_input_is_refused_in_words():
    loss = HueLoss(hue_labels(3, 0))
    with pytest.raises(InputError, match=r"there is 1 class; .* at least 2"):
        hue_labels(1, 0)
    with pytest.raises(InputError, match="target 3 is no class; with 3 classes they go from 0 to 2"):
        loss(torch.zeros(2, 2), torch.tensor([0, 3]))
    with pytest.raises(InputError, match="target -1"):
        loss(torch.zeros(2, 2), torch.tensor([-1, 2]))
    with pytest.raises(InputError, match="eq5, chord, l2"):
        HueLoss(hue_labels(3, 0), variant="eq6")
    with pytest.raises(ShapeError, match=r"need \(2, 2\)"):
        loss(torch.zeros(2, 3), torch.tensor([0, 1]))
    with pytest.raises(InputError, match="weight is -1"):
        HueLoss(hue_labels(3, 0), weight=-1)
    with pytest.raises(InputError, match="stands behind no network"):
        HueHead((3, 1, 1)).points()


@pytest.mark.slow
@pytest.mark.parametrize("name, size, channels", [
    ("resnet18", 64, 512), ("densenet121", 64, 1024), ("mobilenet_v3_small", 64, 576),
    ("vit_b_16", 224, 768), ("swin_t", 64, 768),
])  # fmt: skip
def test_stands_behind_cnns_and_transformers_without_changing_them(name, size, channels):
    network = torchvision.models.get_model(name, weights=None, num_classes=3).train()
    # torchvision's ViT starts with a classifier of zeros, which would send nothing back.
    nn.init.normal_([part for part in network.modules() if isinstance(part, nn.Linear)][-1].weight)
    names = list(network.state_dict())
    head = HueHead.behind(network, image_size=(size, size), seed=0)
    assert head.grid[0] == channels
    assert all(part.training for part in network.modules())
    assert list(network.state_dict()) == names
    images = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(0))
    logits = network(images)
    points = head.points()
    assert points.shape == (2, 2)
    stem = head.watch.output()
    class_part = torch.autograd.grad(logits.sum(), stem, retain_graph=True)[0]
    hue_part = torch.autograd.grad(points.sum(), stem)[0]
    assert class_part.norm() > 0 and hue_part.norm() > 0


def test_points_before_the_network_ran_are_an_error_not_those_of_an_empty_image():
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2))
    head = HueHead.behind(network, layer="1", image_size=(8, 8))
    for read in (head.points, head.watch.output, head.watch.grid):
        with pytest.raises(LayerError, match=r"has not run.*; call "):
            read()
    assert network(torch.rand(5, 3, 8, 8)).shape == head.points().shape == (5, 2)


def test_a_watch_keeps_what_came_before_an_in_place_relu_and_the_network_gives_the_same():
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(144, 2))
    images = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    alone = network(images)
    with LayerWatch(network, "0") as watch:
        assert torch.equal(network(images), alone)
        assert torch.equal(watch.grid(), network[0](images))
        assert float(watch.grid().detach().min()) < 0
    assert not network[0]._forward_hooks and not network._forward_pre_hooks


def test_flat_heads_with_hidden_layers_know_where_and_detached_ones_send_nothing_back():
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True))
    options = {"layer": "1", "image_size": (8, 8), "input": "flat", "hidden": [5], "project": True}
    head = HueHead.behind(network, **options)
    assert [tuple(layer.weight.shape) for layer in head.layers] == [(5, 144), (2, 5)]
    image = torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    network(image)
    assert float(head.points().detach().norm()) == pytest.approx(1, abs=1e-5)
    assert not torch.allclose(
        head(torch.eye(6).expand(1, 4, 6, 6)), head(torch.eye(6).flip(0).expand(1, 4, 6, 6))
    )
    detached = HueHead.behind(network, **options, detached=True)
    network(image)
    detached.points().sum().backward()
    assert network[0].weight.grad is None and detached.layers[0].weight.grad is not None


def test_heads_refuse_layers_that_are_not_there_or_give_no_grid_and_leave_no_hook():
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten())
    with pytest.raises(LayerError, match="no layer 'conv9'"):
        HueHead.behind(network, layer="conv9")
    with pytest.raises(LayerError, match="not in the table"):
        HueHead.behind(network)
    with pytest.raises(LayerError, match=r"\(B, C, H, W\)"):
        HueHead.behind(network, layer="1", image_size=(8, 8))
    assert not network[1]._forward_hooks and not network._forward_pre_hooks
    with pytest.raises(InputError, match="pooled, flat"):
        HueHead((3, 2, 2), input="max")
