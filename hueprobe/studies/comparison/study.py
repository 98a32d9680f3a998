"""The training comparison: every loss from the same weights, on the same batches, over paired seeds."""

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from hueprobe.errors import HueprobeError, HueprobeWarning, InputError
from hueprobe.images.folds import draw_folds, hold_out
from hueprobe.images.splits import TEST, TRAIN
from hueprobe.images.table import ImageTable
from hueprobe.progress import progress_bar
from hueprobe.studies.comparison.loss_comparison import LossRun
from hueprobe.studies.comparison.runs import CELLS, RUNNING, Cell, observe_cell, read_cell, train_cell
from hueprobe.studies.comparison.settings import NOT_OBSERVED, ComparisonSettings, write_settings
from hueprobe.studies.locks import claimed

if TYPE_CHECKING:
    from hueprobe.training.images import TrainingImages

SETTINGS = "comparison.json"


def run_comparison(
    images: ImageTable, folder: str | Path, settings: ComparisonSettings, *, workers: int | None = 0,
    progress: bool = False,
) -> list[LossRun]:  # fmt: skip
    """Train what is not trained yet and return all runs; the same call goes on where it was stopped.

    Seeds are the outermost loop, so that a study that is stopped has whole pairs. Several processes may work
    on one folder: each takes the cells that no other has, and returns when all are there.

    Parameters
    ----------
    images : ImageTable
    folder : str or Path
        Gets `comparison.json`; `cells/` and `observed/`, a JSON file a run; `running/` for checkpoints;
        `weights/`, as long as they are needed.
    settings : ComparisonSettings
    workers : int, optional
        Threads that read images, once at the start; None for one a core.
    progress : bool

    Raises
    ------
    InputError
        The folder holds another study, or the images cannot be split as asked.
    """
    from hueprobe.training.objectives import parse_names

    for loss in settings.losses:
        parse_names(loss)
    settings.training_settings(seed=0, learning_rate=settings.learning_rates[0])
    parts = dict(_parts(images, settings.folds))
    path = Path(folder)
    for sub in (CELLS, RUNNING):
        (path / sub).mkdir(parents=True, exist_ok=True)
    with claimed(path / RUNNING / "settings.lock", wait=True):
        write_settings(path / SETTINGS, settings, images)
    cells = [
        Cell(path, loss, seed, fold, rate)
        for seed in range(settings.seeds)
        for fold in parts
        for rate in settings.learning_rates
        for loss in settings.losses
    ]
    held: dict[tuple[str, int], tuple[TrainingImages, TrainingImages]] = {}

    def loaded(fold: str, side: int) -> "tuple[TrainingImages, TrainingImages]":
        nonlocal held
        if (fold, side) not in held:
            held = {(fold, side): _load(parts[fold], side, workers)}
        return held[fold, side]

    def work(cell: Cell, *, wait: bool) -> bool:
        """Do what is to be done for a cell; False where another process is at it."""
        with claimed(cell.lock, wait=wait) as free:
            if free:
                try:
                    _finish(cell, settings, loaded)
                except HueprobeError as error:
                    raise type(error)(f"{cell.name}: {error}") from error
        return free

    with progress_bar(len(cells), label="comparing", unit="runs", enabled=progress) as advance:
        others = []
        for cell in cells:
            if work(cell, wait=False):
                advance(1)
            else:
                others.append(cell)
        for cell in others:
            work(cell, wait=True)  # what its process left undone, if it was stopped
            advance(1)
    return [read_cell(cell, settings) for cell in cells]


def _finish(
    cell: Cell,
    settings: ComparisonSettings,
    loaded: "Callable[[str, int], tuple[TrainingImages, TrainingImages]]",
) -> None:
    """Train a cell and observe its network, each unless it is done."""
    observe = settings.observe != NOT_OBSERVED
    if not cell.result.exists():
        train, test = loaded(cell.fold, settings.side)
        train_cell(cell, settings, train, test, keep_weights=settings.keep_weights or observe)
    if observe and cell.weights.exists() and not cell.observed(settings).exists():
        larger = -(-settings.observe_crop * 8 // 7)  # as 256 is of 224
        train, test = loaded(cell.fold, larger or settings.side)
        seen = test if settings.observe == TEST else train
        observe_cell(cell, settings, len(train.class_names), seen)
    if not settings.keep_weights:
        cell.weights.unlink(missing_ok=True)


def _parts(images: ImageTable, folds: int) -> Iterator[tuple[str, ImageTable]]:
    """Yield the name of each fold, and the images in "train" and "test" for it."""
    if folds == 0:
        if not {TRAIN, TEST} <= set(images.splits):
            raise InputError(
                "these images have no parts 'train' and 'test'; make them with `hueprobe data split`, or "
                "cross-validate with folds= (--folds)"
            )
        yield "", images
        return
    dealt = draw_folds(images, folds=folds, seed=0)
    for name in sorted({name for name in dealt.splits if name is not None}):
        yield name, hold_out(dealt, name)


def _load(table: ImageTable, side: int, workers: int | None) -> "tuple[TrainingImages, TrainingImages]":
    from hueprobe.training.images import load_images

    train = load_images(table.where_split(TRAIN), side=side, workers=workers)
    test = load_images(table.where_split(TEST), side=side, class_names=train.class_names, workers=workers)
    skipped = [*train.skipped.values(), *test.skipped.values()]
    if skipped:
        warnings.warn(
            f"{len(skipped)} images could not be read and are left out: "
            + "; ".join(f"{path}: {reason}" for path, reason in skipped[:10]),
            HueprobeWarning,
            stacklevel=3,
        )
    return train, test
