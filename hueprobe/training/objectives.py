"""Objectives by name: what `hueprobe train` and `hueprobe compare` put on a command line."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from hueprobe.activations.hooks import Tap
from hueprobe.errors import InputError, LayerError
from hueprobe.training.al2 import AL2
from hueprobe.training.catchup_mix import CatchUpMix
from hueprobe.training.heads import HueHead
from hueprobe.training.insertion import apply_behind
from hueprobe.training.layer_watch import LayerWatch
from hueprobe.training.losses import VARIANTS, HueLoss, spread_labels
from hueprobe.training.maxdropout import MaxDropout
from hueprobe.training.objective import Objective

SMOOTHING = 0.1
DROPOUT = 0.5
CONTROLS = ("detached", "shuffled", "3d", "8d", "weight0")
PLAIN = ("onehot", "smooth", "al2", "maxdropout", "catchup", "dropout", "auxiliary")
KNOWN = (*PLAIN, *(f"hue:{variant}" for variant in VARIANTS))
_STAGES = ("layer1", "layer2", "layer3", "layer4")


@contextmanager
def objective_named(
    name: str,
    network: nn.Module,
    num_classes: int,
    *,
    tap: Tap,
    image_size: int,
    seed: int,
    stages: Sequence[str] = (),
    head_input: str = "pooled",
    head_hidden: Sequence[int] = (),
    project: bool = False,
) -> Iterator[Objective]:
    """Give the objective of a name; whatever it hangs on the network comes off when the block ends.

    Parameters
    ----------
    name : str
        One of `KNOWN`, or several joined by `+` (`hue:eq5+smooth`):

        - `onehot`: cross-entropy alone; `smooth`: with label smoothing of .1;
        - `hue:eq5`, `hue:chord`, `hue:l2`: `HueLoss` beside it, weight 1. A control may follow:
          `hue:eq5:detached` (the head learns, the network is told nothing), `:shuffled` (each image gets
          the angle of another of its batch), `:3d` and `:8d` (points of a sphere), `:weight0`;
        - `auxiliary`: a second classifier like the hue head, with cross-entropy of weight 1;
        - `al2`, `maxdropout`, `catchup`: with their authors' numbers;
        - `dropout`: .5 before the classifier.
    network : nn.Module
        Gives logits (B, num_classes).
    num_classes : int
    tap : Tap
        The bottleneck, where heads stand and gradients are compared.
    image_size : int
        Side in pixels.
    seed : int
        Of class angles, heads and mixing, each with a generator of its own.
    stages : sequence of str
        Layers for MaxDropout and Catch-up Mix; ResNet's layer1 ... layer4 by default.
    head_input : str
    head_hidden : sequence of int
    project : bool
        `input`, `hidden` and `project` of the HueHead.

    Raises
    ------
    InputError
        An unknown name, or one that is there twice.
    LayerError
        A network without layer1 ... layer4, and no stages are named.
    """
    names = parse_names(name)
    made = _Parts()
    head = {
        "tap": tap, "image_size": (image_size, image_size), "input": head_input, "hidden": head_hidden,
        "seed": seed,
    }  # fmt: skip
    with ExitStack() as stack:
        watch = stack.enter_context(LayerWatch(network, tap=tap))
        for part in names:
            kind, _, rest = part.partition(":")
            if kind == "hue":
                _add_hue(made, network, num_classes, rest, {**head, "project": project}, seed, stack)
            elif kind == "auxiliary":
                _add_auxiliary(made, network, num_classes, head, stack)
            elif kind == "al2":
                al2 = AL2.before(network)
                stack.callback(al2.remove)
                _add_al2(made, al2)
            elif kind == "maxdropout":
                stack.enter_context(apply_behind(network, _stages(network, stages), MaxDropout()))
            elif kind == "catchup":
                made.mixing = CatchUpMix(network, _stages(network, stages), seed=seed)
                stack.callback(made.mixing.remove)
            elif kind == "dropout":
                stack.enter_context(apply_behind(network, [_pooling_layer(network)], nn.Dropout(DROPOUT)))
        smoothing = SMOOTHING if "smooth" in names else 0.0
        yield Objective(
            network, criterion=nn.CrossEntropyLoss(label_smoothing=smoothing), terms=made.terms,
            modules=made.modules, mixing=made.mixing, watch=made.watch or watch, name=name,
        )  # fmt: skip


def parse_names(name: str) -> list[str]:
    """Split `hue:eq5+smooth` into its parts.

    Parameters
    ----------
    name : str
        As `objective_named` takes it.

    Raises
    ------
    InputError
        A part is unknown, or there twice.

    Examples
    --------
    >>> parse_names("hue:eq5:shuffled+smooth")
    ['hue:eq5:shuffled', 'smooth']
    """
    parts = name.split("+")
    for part in parts:
        base, _, control = part.rpartition(":") if part.count(":") == 2 else (part, "", "")
        if base not in KNOWN or (control and control not in CONTROLS) or part.endswith(":"):
            raise InputError(
                f"unknown loss {part!r}; choose from: {', '.join(KNOWN)}; hue losses also with one of "
                f"{', '.join(f':{word}' for word in CONTROLS)} behind, and several joined by '+'"
            )
    kinds = [part.partition(":")[0] for part in parts]
    if len(set(kinds)) < len(kinds):
        raise InputError(f"loss {name!r} names one kind twice; join different ones by '+'")
    return parts


class _Parts:
    """What the named parts bring to an objective."""

    def __init__(self) -> None:
        self.terms: dict[str, Callable[[Tensor], Tensor]] = {}
        self.modules: dict[str, nn.Module] = {}
        self.mixing: CatchUpMix | None = None
        self.watch: LayerWatch | None = None


class _ShuffledTargets(nn.Module):
    """Gives each image the class of another of its batch, drawn anew in each step."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.seed = seed
        self.start_epoch(0)

    def start_epoch(self, epoch: int) -> None:
        self.generator = torch.Generator().manual_seed(self.seed * 1_000_003 + epoch)

    def forward(self, targets: Tensor) -> Tensor:
        return targets[torch.randperm(len(targets), generator=self.generator).to(targets.device)]


def _add_hue(
    made: _Parts, network: nn.Module, num_classes: int, what: str, options: dict[str, Any], seed: int,
    stack: ExitStack,
) -> None:  # fmt: skip
    variant, _, control = what.partition(":")
    dimensions = {"3d": 3, "8d": 8}.get(control, 2)
    head = HueHead.behind(network, outputs=dimensions, detached=control == "detached", **options)
    stack.callback(head.watch.remove)
    loss = HueLoss(
        spread_labels(num_classes, seed, dimensions=dimensions),
        variant=variant, weight=0.0 if control == "weight0" else 1.0,
    )  # fmt: skip
    made.modules |= {"head": head, "loss": loss}
    made.watch = head.watch
    if control == "shuffled":
        shuffled = _ShuffledTargets(seed)
        made.modules["shuffled"] = shuffled
        made.terms["hue"] = lambda targets: loss(head.points(), shuffled(targets))
    else:
        made.terms["hue"] = lambda targets: loss(head.points(), targets)


def _add_al2(made: _Parts, al2: AL2) -> None:
    made.modules["al2"] = al2
    made.terms["al2"] = lambda _targets: al2.penalty()


def _add_auxiliary(
    made: _Parts, network: nn.Module, num_classes: int, options: dict[str, Any], stack: ExitStack
) -> None:
    head = HueHead.behind(network, outputs=num_classes, **options)
    stack.callback(head.watch.remove)
    made.modules["auxiliary"] = head
    made.watch = made.watch or head.watch
    made.terms["auxiliary"] = lambda targets: nn.functional.cross_entropy(head.points(), targets)


def _stages(network: nn.Module, stages: Sequence[str]) -> Sequence[str]:
    if stages:
        return stages
    children = dict(network.named_children())
    if not all(stage in children for stage in _STAGES):
        raise LayerError(
            f"network {type(network).__name__} has no layer1 ... layer4 for MaxDropout and Catch-up Mix; "
            f"name its stages with stages= (--stage), from: {', '.join(children)}"
        )
    return _STAGES


def _pooling_layer(network: nn.Module) -> str:
    """Return the last adaptive pooling, whose output the classifier reads."""
    names: list[str] = [
        name for name, part in network.named_modules() if isinstance(part, nn.AdaptiveAvgPool2d)
    ]
    if not names:
        raise LayerError(
            f"network {type(network).__name__} has no pooling layer for dropout to stand behind; "
            "use apply_behind with a layer's name"
        )
    last: str = names[-1]
    return last
