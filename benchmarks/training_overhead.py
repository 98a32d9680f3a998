"""What the hue term and the training loop cost, as ratios measured in one run.

    python -m benchmarks.training_overhead [--size 224] [--batch-size 16] [--rounds 5] [--device cpu] [--wall]

- hue term: head, loss and their gradient on the bottleneck's activations, against a whole one-hot step of the
  same network. Timed by itself, since the difference of two long steps drowns in a machine's noise.
- loop: images a second of `hueprobe.training.train` (crops, flips, checks and all) against a bare PyTorch
  loop over batches that lie ready in memory, plain and with freed memory kept as `train` keeps it on a CPU;
  rounds alternate, the median counts.
- precision: the loop's images a second in bf16 against fp32, at --small-size and --small-batch-size, the
  reduced comparison's.

On a CPU the seconds are the process's own, which other jobs disturb less than those of the clock; but a core
that waits for another does not show in them. With --wall they are the clock's, and the results go to
benchmarks/results/training_overhead-wall.json.
"""

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import nn

from hueprobe.activations.devices import choose_device
from hueprobe.allocation import freed_memory_kept
from hueprobe.training import (
    HueHead,
    HueLoss,
    Objective,
    TrainingPictures,
    TrainingSettings,
    fresh_network,
    hue_labels,
    pictures_from_arrays,
    train,
)

RESULTS = Path(__file__).parent / "results" / "training_overhead.json"
CLASSES = 100
STEPS = 8  # of the loop, an epoch


clock: Callable[[], float] = time.process_time  # on a CPU


def timed(work: Callable[[], object], device: torch.device) -> float:
    """Return the seconds that `work` takes: by `clock` on a CPU, else with the queue emptied."""
    if device.type == "cpu":
        started = clock()
        work()
        return clock() - started
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    started = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - started


def hue_share(size: int, batch_size: int, rounds: int, device: torch.device) -> dict[str, float]:
    """Return the seconds of a one-hot step and of the hue term, and their ratio."""
    network, tap = fresh_network("resnet18", CLASSES, seed=0)
    network.to(device)
    head = HueHead.behind(network, tap=tap, picture_size=(size, size))
    loss = HueLoss(hue_labels(CLASSES, seed=0)).to(device)
    pictures = torch.randn(batch_size, 3, size, size, device=device)
    targets = torch.arange(batch_size, device=device) % CLASSES
    optimizer = torch.optim.Adam(network.parameters())
    head_optimizer = torch.optim.Adam(head.parameters())

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        nn.functional.cross_entropy(network(pictures), targets).backward()
        optimizer.step()

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


def loop_rate(size: int, batch_size: int, rounds: int, device: torch.device) -> dict[str, float]:
    """Return images a second of the loop and of a bare one, plain and with memory kept, and the ratios."""
    n = STEPS * batch_size
    made = noise_pictures(n, size * 8 // 7)
    settings = TrainingSettings(
        epochs=1, batch_size=batch_size, crop=size, device=str(device), channels_last=False
    )
    batches = [
        (pictures.contiguous(), targets)
        for pictures, targets in made.shuffled_batches(
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
        for pictures, targets in batches:
            optimizer.zero_grad(set_to_none=True)
            nn.functional.cross_entropy(network(pictures), targets).backward()
            optimizer.step()

    seconds: dict[str, list[float]] = {"loop": [], "bare": [], "bare_keeping": []}
    for round_ in range(rounds):
        seconds["bare"].append(bare(keep=False))
        seconds["bare_keeping"].append(bare(keep=device.type == "cpu"))
        network, _ = fresh_network("resnet18", CLASSES, seed=0)
        objective, own = Objective(network), replace(settings, seed=round_)
        seconds["loop"].append(timed(partial(train, objective, made, own), device))
    rates = {name: n / statistics.median(took) for name, took in seconds.items()}
    return {
        **rates,
        "ratio": rates["loop"] / rates["bare_keeping"],
        "ratio_to_plain": rates["loop"] / rates["bare"],
    }


def precision_rates(size: int, batch_size: int, rounds: int, device: torch.device) -> dict[str, float]:
    """Return images a second of the loop in fp32 and in bf16, and their ratio."""
    made = noise_pictures(STEPS * batch_size, size * 8 // 7)
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


def noise_pictures(n: int, side: int) -> TrainingPictures:
    """Return pictures of noise for all classes in turn."""
    return pictures_from_arrays(
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
    parser.add_argument("--wall", action="store_true", help="The clock's seconds on a CPU, too.")
    parser.add_argument("--note", default="", help="What else ran on the machine.")
    arguments = parser.parse_args()
    device = choose_device(arguments.device)
    output = RESULTS
    if arguments.wall:
        global clock
        clock, output = time.perf_counter, RESULTS.with_stem(f"{RESULTS.stem}-wall")
    options = (arguments.size, arguments.batch_size, arguments.rounds, device)
    found = {
        "hue_term": hue_share(*options),
        "loop": loop_rate(*options),
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
        "seconds": "clock" if arguments.wall or device.type != "cpu" else "of the process",
    }
    print(f"hue term: {found['hue_term']['ratio']:.4f} of a step (at most .01 wanted)")
    print(f"loop: {found['loop']['ratio']:.3f} of a bare loop's images/s (at least .98 wanted)", end=", ")
    print(f"{found['loop']['ratio_to_plain']:.3f} of a plain one's")
    print(f"bf16: {found['precision']['ratio']:.3f} of the loop's images/s in fp32")
    output.parent.mkdir(exist_ok=True)
    output.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
