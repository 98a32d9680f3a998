"""The training comparison: every loss from the same weights, on the same batches, over paired seeds."""

import hashlib
import json
import statistics
import warnings
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hueprobe.errors import HueprobeError, HueprobeWarning, InputError
from hueprobe.files import written_whole
from hueprobe.images.folds import draw_folds, hold_out
from hueprobe.images.splits import TEST, TRAIN
from hueprobe.images.table import ImageTable
from hueprobe.observations.loss_comparison import LossRun
from hueprobe.progress import progress_bar

if TYPE_CHECKING:
    from hueprobe.training.pictures import TrainingPictures
    from hueprobe.training.settings import TrainingSettings

SETTINGS, CELLS, RUNNING = "comparison.json", "cells", "running"
_FREE = ("losses", "seeds", "learning_rates")  # a study may grow in these; the rest would mix two studies


@dataclass(frozen=True, kw_only=True)
class ComparisonSettings:
    """What is compared, written down as `comparison.json` before the first network is trained.

    Attributes
    ----------
    backbone, weights : str
        Of the networks; weights `none` starts from scratch.
    losses : tuple of str
        Names as `objective_named` takes them; one-hot should be among them.
    primary : str or None
        The one contrast to one-hot that is declared beforehand.
    seeds : int
        Seeds 0, 1, ...: of weights, batches, heads and angles, the same for each loss.
    folds : int
        Of cross-validation; 0 takes the pictures' own train and test parts.
    learning_rates : tuple of float
        The same for each loss.
    side : int
        Pictures' side in pixels before the crop.
    stages : tuple of str
        Layers for MaxDropout and Catch-up Mix, where the network has no layer1 ... layer4.
    robustness : bool
        Whether to test on perturbed pictures too.
    training : dict
        TrainingSettings but seed and learning_rate.

    Raises
    ------
    InputError
        No loss, no seed, no learning rate, or one fold.
    """

    backbone: str
    losses: tuple[str, ...]
    seeds: int
    side: int
    training: dict[str, Any] = field(default_factory=dict)
    weights: str = "none"
    primary: str | None = None
    folds: int = 0
    learning_rates: tuple[float, ...] = (1e-3,)
    stages: tuple[str, ...] = ()
    robustness: bool = True

    def __post_init__(self) -> None:
        """Refuse a study without cells."""
        if not self.losses or len(set(self.losses)) < len(self.losses):
            raise InputError(f"losses are {', '.join(self.losses) or 'none'}; give at least one, each once")
        if self.primary is not None and self.primary not in self.losses:
            raise InputError(f"the primary loss {self.primary!r} is not among {', '.join(self.losses)}")
        if self.seeds < 1:
            raise InputError(f"seeds is {self.seeds}; it must be at least 1, and 6 for a p-value below .05")
        if self.folds == 1 or self.folds < 0:
            raise InputError(f"folds is {self.folds}; it must be 2 or more, or 0 for the pictures' own parts")
        if not self.learning_rates:
            raise InputError("there is no learning rate; give at least one")

    def training_settings(self, *, seed: int, learning_rate: float) -> "TrainingSettings":
        """Return the settings of one run."""
        from hueprobe.training.settings import TrainingSettings

        return TrainingSettings(**self.training, seed=seed, learning_rate=learning_rate)


def run_comparison(
    images: ImageTable, folder: str | Path, settings: ComparisonSettings, *, workers: int = 0,
    progress: bool = False,
) -> list[LossRun]:  # fmt: skip
    """Train what is not trained yet and return all runs; the same call goes on where it was stopped.

    Seeds are the outermost loop, so that a study that is stopped has whole pairs.

    Parameters
    ----------
    images : ImageTable
    folder : str or Path
        Gets `comparison.json`, `cells/` with a JSON file a run, and `running/` for checkpoints.
    settings : ComparisonSettings
    workers : int
        Processes that read pictures, once at the start.
    progress : bool

    Raises
    ------
    InputError
        The folder holds another study, or the pictures cannot be split as asked.
    """
    from hueprobe.training.recipes import parse_names

    for loss in settings.losses:
        parse_names(loss)
    settings.training_settings(seed=0, learning_rate=settings.learning_rates[0])
    parts = list(_parts(images, settings.folds))
    path = Path(folder)
    (path / CELLS).mkdir(parents=True, exist_ok=True)
    _write_settings(path / SETTINGS, settings, images)
    cells = [
        (seed, fold, rate, loss)
        for seed in range(settings.seeds)
        for fold in range(len(parts))
        for rate in settings.learning_rates
        for loss in settings.losses
    ]
    held: dict[int, tuple[TrainingPictures, TrainingPictures]] = {}
    runs = []
    with progress_bar(len(cells), label="comparing", unit="runs", enabled=progress) as advance:
        for seed, fold, rate, loss in cells:
            name = f"{loss.replace(':', '-')}_seed{seed}_{parts[fold][0] or 'test'}_lr{rate:g}"
            file = path / CELLS / f"{name}.json"
            if not file.exists():
                if fold not in held:
                    held = {fold: _load(parts[fold][1], settings, workers)}
                try:
                    run = _train_cell(
                        settings, loss, seed, parts[fold][0], rate, held[fold], path / RUNNING / name
                    )
                except HueprobeError as error:
                    raise type(error)(f"{name}: {error}") from error
                with written_whole(file) as out:
                    out.write(json.dumps(asdict(run), sort_keys=True, indent=1).encode())
                _remove_running(path / RUNNING, name)
            runs.append(_read_cell(file))
            advance(1)
    return runs


def _train_cell(
    settings: ComparisonSettings, loss: str, seed: int, fold: str, rate: float,
    held: "tuple[TrainingPictures, TrainingPictures]", folder: Path,
) -> LossRun:  # fmt: skip
    from hueprobe.training.loop import picture_answers, train
    from hueprobe.training.memory_use import bytes_kept
    from hueprobe.training.networks import fresh_network
    from hueprobe.training.perturbations import LEVELS, perturbation
    from hueprobe.training.recipes import objective_named

    pictures, test = held
    own = settings.training_settings(seed=seed, learning_rate=rate)
    classes = len(pictures.class_names)
    network, tap = fresh_network(settings.backbone, classes, seed=seed, weights=settings.weights)
    with objective_named(
        loss, network, classes, tap=tap, picture_size=own.crop, seed=seed, stages=settings.stages
    ) as objective:
        run = train(objective, pictures, own, test=test, folder=folder)
        truth = test.targets.numpy()
        answers = picture_answers(network, test, own)
        robust = {}
        if settings.robustness:
            for kind, levels in LEVELS.items():
                for level in range(1, len(levels) + 1):
                    found = picture_answers(network, test, own, perturb=perturbation(kind, level, seed=seed))
                    robust[f"{kind} {level}"] = int((found == truth).sum())
        n_network = sum(p.numel() for p in network.parameters())
        beside = [name for name in run.log[0] if name.startswith("share_") and name != "share_class"]
        return LossRun(
            loss=loss, seed=seed, fold=fold, learning_rate=rate,
            n_right=int((answers == truth).sum()), n_test=int((answers >= 0).sum()),
            curve=tuple(row["test_accuracy"] for row in run.log),
            train_loss=tuple(row["loss_class"] for row in run.log),
            shares=tuple(sum(row[name] for name in beside) for row in run.log) if beside else (),
            seconds_per_step=statistics.median(row["seconds"] / row["steps"] for row in run.log),
            saved_bytes=bytes_kept(objective, pictures, own),
            n_parameters=n_network,
            n_extra=sum(p.numel() for p in objective.parameters()) - n_network,
            robustness=robust,
        )  # fmt: skip


def _parts(images: ImageTable, folds: int) -> Iterator[tuple[str, ImageTable]]:
    """Yield the name of each fold, and the pictures in "train" and "test" for it."""
    if folds == 0:
        if not {TRAIN, TEST} <= set(images.splits):
            raise InputError(
                "these pictures have no parts 'train' and 'test'; make them with `hueprobe data split`, or "
                "cross-validate with folds= (--folds)"
            )
        yield "", images
        return
    dealt = draw_folds(images, folds=folds, seed=0)
    for name in sorted({name for name in dealt.splits if name is not None}):
        yield name, hold_out(dealt, name)


def _load(
    table: ImageTable, settings: ComparisonSettings, workers: int
) -> "tuple[TrainingPictures, TrainingPictures]":
    from hueprobe.training.pictures import load_pictures

    train = load_pictures(table.where_split(TRAIN), side=settings.side, workers=workers)
    test = load_pictures(
        table.where_split(TEST), side=settings.side, class_names=train.class_names, workers=workers
    )
    skipped = [*train.skipped.values(), *test.skipped.values()]
    if skipped:
        warnings.warn(
            f"{len(skipped)} pictures could not be read and are left out: "
            + "; ".join(f"{path}: {reason}" for path, reason in skipped[:10]),
            HueprobeWarning,
            stacklevel=3,
        )
    return train, test


def _write_settings(path: Path, settings: ComparisonSettings, images: ImageTable) -> None:
    """Write the study's settings, or refuse a folder that holds another study."""
    rows = repr((images.paths, images.classes, images.splits, images.groups, images.sizes))
    own = json.loads(json.dumps(asdict(settings)))
    own["images"] = hashlib.sha256(rows.encode()).hexdigest()
    if path.exists():
        try:
            before: dict[str, Any] = dict(json.loads(path.read_bytes()))
        except (ValueError, TypeError, RecursionError) as error:
            raise InputError(f"{path} is damaged ({error}); choose another folder or remove it") from None
        differing = [
            f"{name} was {before.get(name)!r} and is {own.get(name)!r}"
            for name in sorted({*before, *own} - set(_FREE))
            if before.get(name) != own.get(name)
        ]
        if differing:
            raise InputError(
                f"{path.parent} holds another study: {'; '.join(differing)}; choose another folder"
            )
    with written_whole(path) as file:
        file.write(json.dumps(own, sort_keys=True, indent=1).encode())


def _read_cell(path: Path) -> LossRun:
    try:
        values: dict[str, Any] = dict(json.loads(path.read_bytes()))
        values |= {name: tuple(value) for name, value in values.items() if isinstance(value, list)}
        return LossRun(**values)
    except (ValueError, TypeError, RecursionError) as error:
        raise InputError(f"{path} is no run of this version; remove it, and it is trained again") from error


def _remove_running(folder: Path, name: str) -> None:
    for file in (folder / name).iterdir():
        file.unlink()
    (folder / name).rmdir()
    if not any(folder.iterdir()):
        folder.rmdir()
