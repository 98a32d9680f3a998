"""The training comparison: every loss from the same weights, on the same batches, over paired seeds."""

import warnings
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from hueprobe.errors import HueprobeError, HueprobeWarning, InputError
from hueprobe.images.folds import draw_folds, hold_out
from hueprobe.images.splits import TEST, TRAIN
from hueprobe.images.table import ImageTable
from hueprobe.progress import progress_bar
from hueprobe.studies.comparison.loss_run import LossRun
from hueprobe.studies.comparison.runs import observe_run, read_run, train_run
from hueprobe.studies.comparison.settings import NOT_OBSERVED, ComparisonSettings
from hueprobe.studies.comparison.study_files import ComparisonRun, StudyFolder

if TYPE_CHECKING:
    from hueprobe.training.images import TrainingImages


def run_comparison(
    images: ImageTable, folder: str | Path, settings: ComparisonSettings, *, workers: int | None = 0,
    progress: bool = False,
) -> list[LossRun]:  # fmt: skip
    """Train what is not trained yet and return all runs; the same call goes on where it was stopped.

    Seeds are the outermost loop, so that a study that is stopped has whole pairs. Several processes may work
    on one folder: each takes the runs that no other has, and returns when all are there.

    Parameters
    ----------
    images : ImageTable
        Which of them train and which test is told by `hueprobe.training.training_parts`.
    folder : str or Path
        Gets `comparison.json`; `cells/` and `observed/`, a JSON file a run; `running/` for checkpoints;
        `weights/`, as long as they are needed.
    settings : ComparisonSettings
    workers : int, optional
        Threads that read images, once at the start; None for one a core.
    progress : bool
        Show a bar of runs.

    Raises
    ------
    InputError
        The folder holds another study, or the images cannot be split as asked.

    Warns
    -----
    HueprobeWarning
        Images are left out: unreadable, or neither of the training nor of the test part.
    """
    from hueprobe.training.objectives import parse_names

    for loss in settings.losses:
        parse_names(loss)
    settings.training_settings(seed=0, learning_rate=settings.learning_rates[0])
    parts = dict(_parts(images, settings))
    files = StudyFolder(Path(folder), settings)
    files.begin(images if settings.folds else parts[""])
    runs = [
        ComparisonRun(loss, seed, fold, rate)
        for seed in range(settings.seeds)
        for fold in parts
        for rate in settings.learning_rates
        for loss in settings.losses
    ]
    named = {run.name: run for run in runs}

    @lru_cache(maxsize=1)
    def loaded(fold: str, side: int) -> "tuple[TrainingImages, TrainingImages]":
        return _load(parts[fold], side, workers)

    def make(name: str) -> None:
        try:
            _finish(named[name], files, settings, loaded)
        except HueprobeError as error:
            raise type(error)(f"{name}: {error}") from error

    with progress_bar(len(named), label="comparing", unit="runs", enabled=progress) as advance:
        for name in files.runs.shared_out(list(named), make):
            done = files.runs.read(name)
            advance(1, f"{name}: test accuracy {done.n_right / done.n_test:.3f}")
    return [read_run(run, files, settings) for run in runs]


def _finish(
    run: ComparisonRun,
    files: StudyFolder,
    settings: ComparisonSettings,
    loaded: "Callable[[str, int], tuple[TrainingImages, TrainingImages]]",
) -> None:
    """Train a run's network and observe it, each unless it is done."""
    observe = settings.observe != NOT_OBSERVED
    if run.name not in files.runs:
        train, test = loaded(run.fold, settings.side)
        train_run(run, files, settings, train, test, keep_weights=settings.keep_weights or observe)
    if observe and files.weights(run).exists() and run.name not in files.observed:
        larger = -(-settings.observe_crop * 8 // 7)  # as 256 is of 224
        train, test = loaded(run.fold, larger or settings.side)
        seen = test if settings.observe == TEST else train
        observe_run(run, files, settings, len(train.class_names), seen)
    if not settings.keep_weights:
        files.drop_weights(run)


def _parts(images: ImageTable, settings: ComparisonSettings) -> Iterator[tuple[str, ImageTable]]:
    """Yield the name of each fold, and the images with splits "train" and "test" for it."""
    from hueprobe.training.parts import training_parts, without_repeated

    if settings.folds == 0:
        parts = training_parts(
            images, train_splits=settings.train_splits, test_splits=settings.test_splits,
            drop_repeated=settings.drop_repeated,
        )  # fmt: skip
        if TEST not in parts.splits:
            there = sorted({split for split in images.splits if split is not None})
            named = f" (their splits are {', '.join(map(repr, there))})" if there else ""
            raise InputError(
                f"these images have no parts 'train' and 'test'{named}; make them with `hueprobe data "
                "split`, name the split to test on with test_splits= (--test-split), or cross-validate with "
                "folds= (--folds)"
            )
        yield "", parts
        return
    dealt = draw_folds(images, folds=settings.folds, seed=0)
    digests: dict[int, str] = {}
    for name in sorted({name for name in dealt.splits if name is not None}):
        yield name, without_repeated(hold_out(dealt, name), drop=settings.drop_repeated, digests=digests)


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
