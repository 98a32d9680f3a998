"""What the hue term and the training loop cost, as ratios measured in one run.

    python -m benchmarks.training_overhead [--size 224] [--batch-size 16] [--rounds 5] [--device cpu]

- hue term: head, loss and their gradient on the bottleneck's activations, against a whole one-hot step of the
  same network. Timed by itself, since the difference of two long steps drowns in a machine's noise.
- loop: images a second of `hueprobe.training.train` (crops, flips, checks and all) against a bare PyTorch
  loop over batches that lie ready in memory, plain and with freed memory kept as `train` keeps it on a CPU.
  The three run in every round, each round another first; the ratio is the median of the rounds' own, beside
  the least and the greatest.
- loop, step by step (CPU): on a machine whose speed changes from one minute to the next, a round of seconds
  each tells little. Here every step of `train` follows a step of a bare loop in the same process, both with
  freed memory kept, and a round's ratio is that of all their seconds.
- precision: the loop's images a second in bf16 against fp32, at --small-size and --small-batch-size, the
  reduced comparison's.

All seconds are the clock's.
"""

import argparse
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hueprobe.activations.devices import choose_device
from hueprobe.allocation import ask_for_huge_pages, freed_memory_kept
from hueprobe.json_documents import json_text
from hueprobe.training import (
    HueHead,
    HueLoss,
    Objective,
    TrainingImages,
    TrainingSettings,
    fresh_network,
    hue_labels,
    images_from_arrays,
    train,
)

RESULTS = Path(__file__).parent / "results" / "training_overhead.json"
CLASSES = 100
STEPS = 8  # of the loop, an epoch


def timed(work: Callable[[], object], device: torch.device) -> float:
    """Return the seconds that `work` takes, with a GPU's queue emptied before and after."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    started = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - started


def one_hot_step(
    network: nn.Module, optimizer: torch.optim.Optimizer, images: Tensor, targets: Tensor
) -> None:
    """Take one step of a bare PyTorch loop."""
    optimizer.zero_grad(set_to_none=True)
    nn.functional.cross_entropy(network(images), targets).backward()
    optimizer.step()


def hue_share(size: int, batch_size: int, rounds: int, device: torch.device) -> dict[str, float]:
    """Return the seconds of a one-hot step and of the hue term, and their ratio."""
    network, tap = fresh_network("resnet18", CLASSES, seed=0)
    network.to(device)
    head = HueHead.behind(network, tap=tap, image_size=(size, size))
    loss = HueLoss(hue_labels(CLASSES, seed=0)).to(device)
    images = torch.randn(batch_size, 3, size, size, device=device)
    targets = torch.arange(batch_size, device=device) % CLASSES
    optimizer = torch.optim.Adam(network.parameters())
    head_optimizer = torch.optim.Adam(head.parameters())

    step = partial(one_hot_step, network, optimizer, images, targets)
    step()
    grid = head.watch.grid().detach().requires_grad_()

    def term() -> None:
        head_optimizer.zero_grad(set_to_none=True)
        grid.grad = None
        loss(head(grid), targets).backward()
        grid.detach().clone()  # the copy with which the network goes on
        head_optimizer.step()

    term()
    steps = statistics.median(timed(step, device) for _ in range(rounds))
    terms = statistics.median(timed(term, device) for _ in range(10 * rounds))
    return {"step_seconds": steps, "hue_term_seconds": terms, "ratio": terms / steps}


def loop_rate(size: int, batch_size: int, rounds: int, device: torch.device) -> dict[str, Any]:
    """Return images a second of the loop and of a bare one, plain and with memory kept, and the ratios."""
    n = STEPS * batch_size
    made = noise_images(n, size * 8 // 7)
    settings = TrainingSettings(
        epochs=1, batch_size=batch_size, crop=size, device=str(device), channels_last=False
    )
    batches = [
        (images.contiguous(), targets)
        for images, targets in made.shuffled_batches(
            batch_size=batch_size, crop=size, flip=True, seed=0, epoch=0, device=device
        )
    ]

    def bare(keep: bool) -> float:
        network, _ = fresh_network("resnet18", CLASSES, seed=0)
        network.to(device)
        optimizer = torch.optim.Adam(network.parameters())
        with freed_memory_kept(keep):
            return timed(lambda: epoch(network, optimizer), device)

    def epoch(network: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        for images, targets in batches:
            one_hot_step(network, optimizer, images, targets)

    def loop(seed: int) -> float:
        network, _ = fresh_network("resnet18", CLASSES, seed=0)
        return timed(partial(train, Objective(network), made, replace(settings, seed=seed)), device)

    ways: list[tuple[str, Callable[[int], float]]] = [
        ("bare", lambda _: bare(keep=False)),
        ("bare_keeping", lambda _: bare(keep=device.type == "cpu")),
        ("loop", loop),
    ]
    seconds: dict[str, list[float]] = {name: [] for name, _ in ways}
    for round_ in range(rounds):
        for place in range(len(ways)):
            name, way = ways[(round_ + place) % len(ways)]
            seconds[name].append(way(round_))
    rates = {name: n / statistics.median(took) for name, took in seconds.items()}
    return {
        **rates,
        "ratio": spread(seconds["bare_keeping"], seconds["loop"]),
        "ratio_to_plain": spread(seconds["bare"], seconds["loop"]),
    }


def loop_beside_bare(size: int, batch_size: int, rounds: int) -> dict[str, Any]:
    """Return the bare loop's seconds over the loop's where their steps take turns, on a CPU."""
    n, device = STEPS * batch_size, torch.device("cpu")
    made = noise_images(n, size * 8 // 7)
    settings = TrainingSettings(epochs=2, batch_size=batch_size, crop=size, device="cpu", channels_last=False)
    images = torch.randn(batch_size, 3, size, size)
    targets = torch.arange(batch_size) % CLASSES
    seconds: dict[str, list[float]] = {"bare": [], "loop": []}
    for seed in range(rounds):
        other, _ = fresh_network("resnet18", CLASSES, seed=0)
        optimizer = torch.optim.Adam(other.parameters())
        bare = TimedBefore(partial(one_hot_step, other, optimizer, images, targets))
        network, _ = fresh_network("resnet18", CLASSES, seed=0)
        objective = Objective(network)
        objective.register_forward_pre_hook(bare)
        took = timed(partial(train, objective, made, replace(settings, seed=seed)), device)
        seconds["bare"].append(bare.seconds)
        seconds["loop"].append(took - bare.seconds - bare.uncounted)
    return {"steps": settings.epochs * STEPS, "ratio": spread(seconds["bare"], seconds["loop"])}


class TimedBefore:
    """A hook that does other work before each forward pass, and counts its seconds.

    The very first time it works twice and `uncounted` has the seconds of the first, which finds the memory
    that everyone then uses again.
    """

    def __init__(self, work: Callable[[], object]) -> None:
        self._work = work
        self.seconds = self.uncounted = 0.0

    def __call__(self, *_: object) -> None:
        """Work."""
        device = torch.device("cpu")
        self.uncounted = self.uncounted or timed(self._work, device)
        self.seconds += timed(self._work, device)


def spread(bare: list[float], loop: list[float]) -> list[float]:
    """Return a bare loop's seconds over the loop's, round by round: median, least and greatest."""
    ratios = [theirs / ours for theirs, ours in zip(bare, loop, strict=True)]
    return [statistics.median(ratios), min(ratios), max(ratios)]


def precision_rates(size: int, batch_size: int, rounds: int, device: torch.device) -> dict[str, float]:
    """Return images a second of the loop in fp32 and in bf16, and their ratio."""
    made = noise_images(STEPS * batch_size, size * 8 // 7)
    rates: dict[str, list[float]] = {"fp32": [], "bf16": []}
    for round_ in range(rounds + 1):  # the first warms up
        for precision, found in rates.items():
            network, _ = fresh_network("resnet18", CLASSES, seed=0)
            settings = TrainingSettings(
                epochs=1, batch_size=batch_size, crop=size, device=str(device), precision=precision,
                seed=round_,
            )  # fmt: skip
            took = timed(partial(train, Objective(network), made, settings), device)
            if round_:
                found.append(STEPS * batch_size / took)
    medians = {name: statistics.median(found) for name, found in rates.items()}
    return {**medians, "ratio": medians["bf16"] / medians["fp32"], "size": size, "batch_size": batch_size}


def noise_images(n: int, side: int) -> TrainingImages:
    """Return images of noise for all classes in turn."""
    return images_from_arrays(
        np.random.default_rng(0).integers(0, 256, (n, 3, side, side), np.uint8), np.arange(n) % CLASSES,
        class_names=[str(number) for number in range(CLASSES)],
    )  # fmt: skip


def main() -> None:
    """Measure all and write them down."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--small-size", type=int, default=64)
    parser.add_argument("--small-batch-size", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--note", default="", help="What else ran on the machine.")
    arguments = parser.parse_args()
    ask_for_huge_pages()  # as `hueprobe train` does
    device = choose_device(arguments.device)
    options = (arguments.size, arguments.batch_size, arguments.rounds, device)
    found = {
        "hue_term": hue_share(*options),
        "loop": loop_rate(*options),
        "loop_beside_bare": loop_beside_bare(*options[:3]) if device.type == "cpu" else None,
        "precision": precision_rates(
            arguments.small_size, arguments.small_batch_size, arguments.rounds, device
        ),
        "size": arguments.size,
        "batch_size": arguments.batch_size,
        "device": torch.cuda.get_device_name(device)
        if device.type == "cuda"
        else platform.processor() or "cpu",
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "note": arguments.note,
    }
    print(f"hue term: {found['hue_term']['ratio']:.4f} of a step (at most .01 wanted)")
    for name, other in (("ratio", "that keeps its memory"), ("ratio_to_plain", "as it is")):
        median, least, greatest = found["loop"][name]
        told = f"{median:.3f} [{least:.3f}, {greatest:.3f}] of the images/s of a bare one {other}"
        print(f"loop: {told} (at least .98 wanted)")
    if found["loop_beside_bare"]:
        median, least, greatest = found["loop_beside_bare"]["ratio"]
        print(f"loop, step by step: {median:.3f} [{least:.3f}, {greatest:.3f}] (at least .98 wanted)")
    print(f"bf16: {found['precision']['ratio']:.3f} of the loop's images/s in fp32")
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json_text(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
