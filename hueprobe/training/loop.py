"""The training loop: plain PyTorch, the same from one seed, continued exactly where it was stopped."""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hueprobe.activations.devices import PRECISIONS, choose_device, choose_precision
from hueprobe.activations.hooks import evaluating
from hueprobe.allocation import freed_memory_kept
from hueprobe.errors import InputError, NumericsError
from hueprobe.progress import progress_bar
from hueprobe.threads import require_threads
from hueprobe.training.checkpoints import Checkpoint, load_checkpoint, save_checkpoint
from hueprobe.training.images import TrainingImages
from hueprobe.training.logs import require_tensorboard, tensorboard_log, write_log
from hueprobe.training.objective import Objective, gradient_shares
from hueprobe.training.settings import TrainingSettings

CHECKPOINT = "checkpoint.pt"
_STEPS_BETWEEN_CHECKS = 32  # of the loss being finite: each waits for the device


@dataclass(frozen=True)
class TrainingRun:
    """What a finished run leaves.

    Attributes
    ----------
    log : tuple of dict
        A row an epoch: epoch (from 1), learning_rate, steps, loss, for each term loss_<term> and
        share_<term> (of the gradient norm at the bottleneck, in the epoch's first step), test_accuracy (NaN
        without test images), seconds and images_per_second of training alone.
    skipped : tuple of (str, str)
        Path and reason of each image that could not be read.
    """

    log: tuple[dict[str, float], ...]
    skipped: tuple[tuple[str, str], ...]


def train(
    objective: Objective,
    images: TrainingImages,
    settings: TrainingSettings,
    *,
    test: TrainingImages | None = None,
    folder: str | Path | None = None,
    identity: Mapping[str, str] | None = None,
    tensorboard: bool = False,
    progress: bool = False,
) -> TrainingRun:
    """Train an objective's network, in place.

    Each epoch draws its order, crops, flips and dropout from the seed and its own number, so a run that was
    stopped and is called again with the same folder ends as the undisturbed one, bit for bit on a CPU.
    torch's own generators are left as they were.

    Parameters
    ----------
    objective : Objective
    images : TrainingImages
    settings : TrainingSettings
    test : TrainingImages, optional
        Measured after each epoch. No choice is made by it: the result is the last epoch's.
    folder : str or Path, optional
        Gets `checkpoint.pt` and `log.csv`, both always whole, and `log.parquet` at the end. A checkpoint in
        it is continued. Nothing is written without a folder.
    identity : mapping of str to str, optional
        What else tells this run from others, such as the weights it starts from: a checkpoint is continued
        under the same only.
    tensorboard : bool
        Log to TensorBoard's event files in the folder too.
    progress : bool
        Show a bar of epochs.

    Raises
    ------
    NumericsError
        The loss is NaN or infinite; names epoch and step. The checkpoint before it stays.
    InputError
        The folder holds the checkpoint of another run; the network has too few classes; TensorBoard is asked
        for without a folder, or not installed.
    """
    if tensorboard and folder is None:
        raise InputError("TensorBoard is asked for without a folder to log to; give folder=")
    if tensorboard:
        require_tensorboard()
    require_threads("torch", torch.get_num_threads())
    device = choose_device(settings.device)
    precision = choose_precision(settings.precision, device)
    layout = torch.channels_last if settings.channels_last else torch.contiguous_format
    objective.to(device)
    objective.network.to(memory_format=layout)
    images.on(device)
    optimizer = _optimizer(objective, settings)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=settings.epochs)
    stateful = {"objective": objective, "optimizer": optimizer, "schedule": schedule}
    run = {
        **settings.to_json(),
        "device": device.type,
        "data": images.fingerprint,
        "objective": objective.name,
        **(identity or {}),
    }
    log, first = [], 0
    path = None if folder is None else Path(folder)
    if path is not None:
        path.mkdir(parents=True, exist_ok=True)
        saved = load_checkpoint(path / CHECKPOINT, run, device=device)
        if saved is not None:
            _restore(stateful, saved.state, path / CHECKPOINT)
            log, first = saved.log, saved.epochs_done
    with ExitStack() as stack:
        stack.enter_context(freed_memory_kept(device.type == "cpu"))
        advance = stack.enter_context(
            progress_bar(settings.epochs, label="training", unit="epochs", done=first, enabled=progress)
        )
        show = None
        if tensorboard and path is not None:
            show = stack.enter_context(tensorboard_log(path, epochs_done=first))
        for epoch in range(first, settings.epochs):
            row = _epoch(objective, images, settings, optimizer, epoch, device, precision)
            schedule.step()
            row["test_accuracy"] = math.nan
            if test is not None:
                predicted = predict_classes(objective.network, test, settings)
                row["test_accuracy"] = accuracy_of(predicted, test.targets.numpy())
            log.append(row)
            done = epoch + 1
            if path is not None and (done % settings.checkpoint_every == 0 or done == settings.epochs):
                state = {name: part.state_dict() for name, part in stateful.items()}  # type: ignore[attr-defined]
                save_checkpoint(path / CHECKPOINT, Checkpoint(run, done, state, log))
            if path is not None:
                write_log(path, log, finished=done == settings.epochs)
            if show is not None:
                show(row)
            advance(1, _told(row))
    skipped = [*images.skipped.values(), *(test.skipped.values() if test is not None else ())]
    return TrainingRun(tuple(log), tuple(skipped))


def predict_classes(
    network: nn.Module,
    images: TrainingImages,
    settings: TrainingSettings,
    *,
    perturb: Callable[[Tensor], Tensor] | None = None,
) -> np.ndarray:
    """Return the class number that a network gives each image, -1 where it could not be read.

    Parameters
    ----------
    network : nn.Module
        Its mode is the same afterwards.
    images : TrainingImages
    settings : TrainingSettings
        Of them batch_size, crop, precision and device play a part.
    perturb : callable, optional
        Changes the normalized center crops (B, 3, crop, crop) first.

    Returns
    -------
    ndarray of int64, shape (n,)
    """
    device = choose_device(settings.device)
    precision = choose_precision(settings.precision, device)
    predicted = np.full(len(images), -1, np.int64)
    with torch.no_grad(), evaluating(network):
        for batch, rows in images.batches(batch_size=settings.batch_size, crop=settings.crop, device=device):
            given = batch if perturb is None else perturb(batch)
            with autocasting(device, precision):
                predicted[rows] = network(given).argmax(1).cpu().numpy()
    return predicted


def accuracy_of(predicted: np.ndarray, targets: np.ndarray) -> float:
    """Return the share of right predictions among the images that could be read; NaN where none could."""
    read = predicted >= 0
    return float((predicted == targets)[read].mean()) if read.any() else math.nan


def _epoch(
    objective: Objective,
    images: TrainingImages,
    settings: TrainingSettings,
    optimizer: torch.optim.Optimizer,
    epoch: int,
    device: torch.device,
    precision: str,
) -> dict[str, float]:
    """Run one epoch and return its row of the log."""
    layout = torch.channels_last if settings.channels_last else torch.contiguous_format
    objective.train()
    objective.start_epoch(epoch)
    sums: dict[str, Tensor] = {}
    shares: dict[str, float] = {}
    unchecked: list[Tensor] = []
    n_images = n_steps = 0
    started = time.perf_counter()
    with _drawing_from(settings.seed, epoch, device):
        for batch, targets in images.shuffled_batches(
            batch_size=settings.batch_size, crop=settings.crop, flip=settings.flip, seed=settings.seed,
            epoch=epoch, device=device,
        ):  # fmt: skip
            with autocasting(device, precision):
                terms = objective(batch.contiguous(memory_format=layout), targets)
            loss = torch.stack(list(terms.values())).sum() if len(terms) > 1 else next(iter(terms.values()))
            if n_steps == 0 and objective.watch is not None and len(terms) > 1:
                shares = gradient_shares(terms, objective.watch.output())
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            n_steps += 1
            n_images += len(batch)
            unchecked.append(loss.detach())
            for name, term in terms.items():
                sums[name] = sums.get(name, 0) + term.detach() * len(batch)
            if len(unchecked) == _STEPS_BETWEEN_CHECKS:
                _require_finite(unchecked, epoch, n_steps)
                unchecked.clear()
    _require_finite(unchecked, epoch, n_steps)
    if n_steps == 0:
        raise InputError(f"no batch of two readable images in epoch {epoch + 1}; give more images")
    seconds = time.perf_counter() - started
    means = {name: float(total) / n_images for name, total in sums.items()}
    return {
        "epoch": epoch + 1,
        "learning_rate": float(optimizer.param_groups[0]["lr"]),
        "steps": n_steps,
        "loss": sum(means.values()),
        **{f"loss_{name}": value for name, value in means.items()},
        **{f"share_{name}": value for name, value in shares.items()},
        "seconds": seconds,
        "images_per_second": n_images / seconds,
    }


def _told(row: Mapping[str, float]) -> str:
    """Return what a row of the log says, in a few words."""
    accuracy = row["test_accuracy"]
    return f"loss {row['loss']:.4f}" + ("" if math.isnan(accuracy) else f", test accuracy {accuracy:.3f}")


def _require_finite(losses: list[Tensor], epoch: int, n_steps: int) -> None:
    """Raise NumericsError that names the first of these last steps whose loss is not finite."""
    if not losses:
        return
    bad = (~torch.isfinite(torch.stack(losses))).nonzero()
    if len(bad):
        place = int(bad[0])
        raise NumericsError(
            f"the loss is {float(losses[place])} in step {n_steps - len(losses) + place + 1} of "
            f"epoch {epoch + 1}; lower the learning rate or the term's weight"
        )


def _optimizer(objective: nn.Module, settings: TrainingSettings) -> torch.optim.Optimizer:
    rate, decay = settings.learning_rate, settings.weight_decay
    if settings.optimizer == "adam":
        return torch.optim.Adam(objective.parameters(), lr=rate, weight_decay=decay)
    return torch.optim.SGD(objective.parameters(), lr=rate, momentum=0.9, weight_decay=decay)


def _restore(stateful: dict[str, Any], state: dict[str, Any], path: Path) -> None:
    try:
        for name, part in stateful.items():
            part.load_state_dict(state[name])
    except Exception as error:  # torch raises anything where a state is of another kind
        raise InputError(
            f"{path} is the checkpoint of another network ({' '.join(str(error).split())[:120]}); "
            "choose another folder or remove it"
        ) from error


@contextmanager
def _drawing_from(seed: int, epoch: int, device: torch.device) -> Iterator[None]:
    """Let dropout and the like draw from (seed, epoch) in the block; generators are restored behind it."""
    own = int(np.random.SeedSequence((seed, epoch)).generate_state(1, np.uint64)[0] >> 1)
    cuda = device.type == "cuda"
    with (
        torch.random.fork_rng(devices=[device] if cuda else []),
        torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True),
    ):
        torch.default_generator.manual_seed(own)
        if cuda:
            with torch.cuda.device(device):
                torch.cuda.manual_seed(own)
        yield


def autocasting(device: torch.device, precision: str) -> torch.autocast:
    """Return the context in which a device computes in a precision, fp32 or bf16."""
    return torch.autocast(device.type, PRECISIONS[precision], enabled=precision != "fp32")
