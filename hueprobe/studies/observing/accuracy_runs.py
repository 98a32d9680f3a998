"""Observation 2 on one memory: every descriptor and reference classifier, each a run that is kept."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from hueprobe.activations.descriptors import DESCRIPTORS
from hueprobe.classification import Classification
from hueprobe.classifier import KernelDensityClassifier
from hueprobe.exclusion import Exclusion
from hueprobe.files import storing
from hueprobe.images.resolve import resolve_images
from hueprobe.matches import Matches
from hueprobe.memory.arrays import derive_memory
from hueprobe.memory.settings import FILE_NAME, read_settings
from hueprobe.memory.store import Memory
from hueprobe.observations.accuracy.baselines import (
    KS,
    kernel_vote,
    logistic_regression,
    majority_vote,
    nearest_centroid,
    tune_k,
)
from hueprobe.observations.accuracy.grid import CLASSIFIER, AccuracyGrid, AccuracyRun, accuracy_run
from hueprobe.progress import named_pass
from hueprobe.queries import queries_of_stored
from hueprobe.search.spec import parse_spec
from hueprobe.studies.locks import locked
from hueprobe.studies.observing.held_out import HELD_OUT, HeldOut
from hueprobe.studies.observing.stages import Stages
from hueprobe.studies.observing.steps import Step, Steps
from hueprobe.studies.observing.work import Work
from hueprobe.studies.run_store import RunStore, settings_hash

TUNED = ("pixel", "gap")  # descriptors whose K is tuned on the memory


def accuracy_grid(
    memory: Memory,
    folder: str | Path,
    *,
    images: Any = None,
    k: int = 10,
    searcher: str = "exact",
    exclude: str = "image",
    seed: int = 0,
    progress: bool = False,
    **network: Any,
) -> AccuracyGrid:
    """Classify with each descriptor and with reference classifiers; finished runs are kept and not repeated.

    Pooled memories are derived from the `pixel` memory into `folder`. Held-out images are passed through the
    network once; their activations are kept in `folder` too, and all descriptors are computed from them.
    Several processes may work on one folder.

    Parameters
    ----------
    memory : Memory
        Memory of descriptor `pixel`.
    folder : path
        Folder of pooled memories and runs; runs of other settings have other files.
    images : optional
        Held-out images in any form that `build_memory` accepts. By default the memory's own images are
        classified in leave-one-out.
    k : int, default=10
        Number of neighbors of each query vector.
    searcher : str, default="exact"
        Searcher for `pixel`, as in `KernelDensityClassifier`; pooled memories are small and searched exactly.
    exclude : str, default="image"
        What a query may not match, as in `KernelDensityClassifier`.
    seed : int, default=0
        Seed of the folds of logistic regression.
    progress : bool, default=False
        Whether to show a progress bar for each classification.
    **network
        `backbone`, `transform`, `weights`, `device`, `workers` and `index_dir` of `KernelDensityClassifier`.

    Returns
    -------
    AccuracyGrid
        One run per descriptor and reference classifier.

    Raises
    ------
    InputError
        A finished run's file is damaged.

    See Also
    --------
    hueprobe.studies.observe : Measure this and the other observations, with verdicts.
    hueprobe.observations.accuracy.AccuracyGrid.comparisons : Paired comparisons of the runs.

    Examples
    --------
    >>> grid = hp.studies.accuracy_grid(memory, "accuracy", k=3)
    >>> run = grid.runs[0]
    >>> run.descriptor, run.task, run.n
    ('pixel', 'leave one out', 12)
    >>> sorted({run.classifier for run in grid.runs})[:3]
    ['kernel density', 'kernel density, K tuned', 'logistic regression']
    """
    table = None if images is None else resolve_images(images)
    work = Work.on(memory, table, None, k)
    planned = [] if table is None else [Step((HELD_OUT,), work.forward(len(table)))]
    planned += [Step(key, seconds) for key, seconds in accuracy_parts(work)]
    steps = Steps(planned, enabled=progress)
    stages, held_out = Stages(), None
    if table is not None:
        held_out = HeldOut(
            memory=memory, images=table, folder=Path(folder), network=network,
            progress=progress, stages=stages, steps=steps,
        )  # fmt: skip
    return grid_of(
        AccuracySetup(
            memory=memory, folder=Path(folder), held_out=held_out, k=k, searcher=searcher, exclude=exclude,
            seed=seed, progress=progress, network=network, stages=stages, steps=steps,
        )
    )  # fmt: skip


def grid_of(setup: "AccuracySetup") -> AccuracyGrid:
    """Make the runs that are not finished; see `accuracy_grid`."""
    with storing(setup.folder):
        setup.folder.mkdir(parents=True, exist_ok=True)
    store = RunStore(setup.folder, AccuracyRun, ending=".cell.json", encode=_document)
    rows = {setup.name_of(row): row for row in _ROWS}
    if setup.held_out is not None and any(name not in store for name in rows):
        setup.held_out.require()

    def make(name: str) -> None:
        key = rows[name].key
        if name in store:
            setup.steps.leave(*key, reason="finished before")
            return
        with setup.steps.of(*key):
            store.write(name, setup.run_of(rows[name]))

    for _ in store.shared_out(list(rows), make):
        pass
    return AccuracyGrid(tuple(store.read(name) for name in rows))


def accuracy_parts(work: Work) -> Iterator[tuple[tuple[str, ...], float]]:
    """Yield the key of each run as a step, and its seconds.

    Parameters
    ----------
    work : Work
        Sizes of the memory and the queries.
    """
    for row in _ROWS:
        yield row.key, work.run(row.descriptor, row.classifier)


def _document(run: AccuracyRun) -> dict[str, Any]:
    """Return the content of a run's file; as in 0.1 if no image was left out."""
    document = asdict(run)
    if not run.n_lone:
        del document["n_lone"]
    return document


@dataclass(kw_only=True)
class AccuracySetup:
    """A memory, its queries and how they are classified; what several runs need is made once.

    Attributes
    ----------
    memory, folder, k, searcher, exclude, seed, progress, network
        See `accuracy_grid`.
    held_out : HeldOut or None
        Held-out images; None if the memory's own images are classified in leave-one-out.
    stages : Stages
        Clock of the run's stages.
    steps : Steps
        Says which step is at work.
    pixel : callable or None
        Returns the classification of the queries with each of several numbers of neighbors, from searches
        that other observations share; None to search here.
    """

    memory: Memory
    folder: Path
    held_out: HeldOut | None
    k: int
    searcher: str
    exclude: str
    seed: int
    progress: bool
    network: dict[str, Any]
    stages: Stages = field(default_factory=Stages)
    steps: Steps = field(default_factory=Steps)
    pixel: Callable[[Sequence[int]], dict[int, Classification]] | None = None
    _pooled: dict[str, Memory] = field(default_factory=dict)
    _classified: dict[tuple[str, int], Classification] = field(default_factory=dict)
    _tuned: dict[str, int] = field(default_factory=dict)

    def name_of(self, row: "_Row") -> str:
        """Return the name of a row's run, from all that it depends on."""
        listed = None if self.held_out is None else self.held_out.listed
        settings: dict[str, Any] = {
            "memory": self.memory.ledger.tip, "images": listed,
            "k": self.k, "searcher": self.searcher, "exclude": self.exclude, "seed": self.seed,
        }  # fmt: skip
        if self.held_out is not None and row.descriptor != "pixel":
            settings["queries"] = "pooled from stored vectors"  # since 0.2
        if self._n_lone:  # left out since 0.2
            settings["alone in their class"] = self._n_lone
        label = "" if row.predict is None else row.classifier
        return f"{row.descriptor}-{settings_hash([settings, row.descriptor, label])}"

    @cached_property
    def _n_lone(self) -> int:
        own = self.held_out is None
        return int(Exclusion(self.memory, self.exclude).lone().sum()) if own else 0

    def run_of(self, row: "_Row") -> AccuracyRun:
        """Return the run of a row."""
        predicted = None if row.predict is None else row.predict(self, row.descriptor)
        result = self.classification(row.descriptor)
        groups = [result.matches.query_image_group[i] for i in result.rows] if result.matches else None
        return accuracy_run(
            result,
            network=str(self.memory.settings.backbone),
            descriptor=row.descriptor,
            task="leave one out" if self.held_out is None else "held out",
            classifier=row.classifier,
            groups=groups,
            predicted=None if predicted is None else predicted[result.rows].tolist(),
            held_out=self.held_out is not None,
        )

    def memory_of(self, descriptor: str) -> Memory:
        """Return the memory of a descriptor, derived if it does not exist or belongs to an older memory."""
        if descriptor == "pixel":
            return self.memory
        if descriptor not in self._pooled:
            path = self.folder / f"{self.memory.path.name}-{descriptor}.memory"
            with self.stages.of("pool"), locked(path.with_suffix(".lock"), wait=True):
                there = (path / FILE_NAME).is_file()
                stale = there and read_settings(path).derived_from != self.memory.ledger.tip
                self._pooled[descriptor] = derive_memory(path, self.memory, descriptor, overwrite=stale)
        return self._pooled[descriptor]

    def classification(self, descriptor: str, *, k: int | None = None) -> Classification:
        """Return the classification of the queries by Eq. (1)-(3)."""
        k = self.k if k is None else k
        if (descriptor, k) not in self._classified:
            shared = descriptor in TUNED and self._by_exact_search(descriptor)
            ks = sorted({k, self.k, self._to_share(descriptor)}) if shared else [k]
            found = self.pixel(ks) if descriptor == "pixel" and self.pixel else self._searched(descriptor, ks)
            self._classified |= {(descriptor, k): result for k, result in found.items()}
        return self._classified[descriptor, k]

    def for_tuning(self, descriptor: str) -> Classification:
        """Return the exact leave-one-out of the memory's own images, with neighbors for every K to try."""
        most = self.most(descriptor)
        if self.held_out is None and self._by_exact_search(descriptor):
            return self.classification(descriptor, k=most)
        memory = self.memory_of(descriptor)
        with named_pass(f"tuning K of {descriptor}"):
            return self.stages.classified(
                lambda: KernelDensityClassifier(memory, k=most, exclude=self.exclude, progress=self.progress),
                [most],
            )[most]

    def most(self, descriptor: str) -> int:
        """Return the largest K to try."""
        memory = self.memory_of(descriptor)
        return min(max(KS), int(memory.valid().sum()) - memory.grid.n_cells)

    def tuned_k(self, descriptor: str) -> int:
        """Return the K of the best leave-one-out accuracy on the memory."""
        if descriptor not in self._tuned:
            self._tuned[descriptor] = _best_k(self.for_tuning(descriptor))
        return self._tuned[descriptor]

    def _to_share(self, descriptor: str) -> int:
        """Return the number of neighbors that the run with a tuned K needs of the queries."""
        return self.most(descriptor) if self.held_out is None else self.tuned_k(descriptor)

    def _by_exact_search(self, descriptor: str) -> bool:
        """Return whether one search may serve several K: an index finds more when it is asked for more."""
        return descriptor != "pixel" or not parse_spec(self.searcher).needs_index

    def _searched(self, descriptor: str, ks: Sequence[int]) -> dict[int, Classification]:
        memory, searcher = self.memory_of(descriptor), self.searcher if descriptor == "pixel" else "exact"
        held_out = None if self.held_out is None else self.held_out.activations
        with named_pass(f"k {', '.join(map(str, sorted(ks)))}"):
            return self.stages.classified(
                lambda: KernelDensityClassifier(
                    memory, k=max(ks), searcher=searcher, exclude=self.exclude, progress=self.progress,
                    **self.network,
                ),
                ks, held_out=held_out,
            )  # fmt: skip

    def query_vectors(self, descriptor: str) -> np.ndarray | None:
        """Return one vector per held-out image, (n, C), zero if unreadable; None without held-out images."""
        if self.held_out is None:
            return None
        memory, stored = self.memory_of(descriptor), self.held_out.activations
        with self.stages.of("extract"):
            vectors = np.zeros((stored.n_images, memory.n_channels), np.float32)
            readable = np.flatnonzero(stored.readable)
            for start in range(0, len(readable), stored.settings.batch_size):
                rows = readable[start : start + stored.settings.batch_size]
                vectors[rows] = queries_of_stored(memory, stored, rows)[0][:, 0]
            return vectors


def _by_majority(setup: AccuracySetup, descriptor: str) -> np.ndarray:
    return majority_vote(_matches(setup.classification(descriptor)))


def _with_tuned_k(setup: AccuracySetup, descriptor: str) -> np.ndarray:
    """Classify by Eq. (1)-(3) with the K of the best leave-one-out accuracy on the memory."""
    if setup.held_out is None:
        result = setup.for_tuning(descriptor)
        best = _best_k(result)
    else:
        best = setup.tuned_k(descriptor)
        result = setup.classification(descriptor, k=best)
    return kernel_vote(_matches(result), _class_counts(result), k=best)


def _best_k(searched: Classification) -> int:
    return tune_k(_matches(searched), _class_counts(searched)).k


def _by_centroid(setup: AccuracySetup, descriptor: str) -> np.ndarray:
    memory = setup.memory_of(descriptor)
    return nearest_centroid(
        _image_vectors(memory), memory.image_class, groups=memory.images.groups,
        query_vectors=setup.query_vectors(descriptor),
    )  # fmt: skip


def _by_logistic_regression(setup: AccuracySetup, descriptor: str) -> np.ndarray:
    memory = setup.memory_of(descriptor)
    return logistic_regression(
        _image_vectors(memory), memory.image_class, groups=memory.images.groups,
        query_vectors=setup.query_vectors(descriptor), seed=setup.seed,
    )  # fmt: skip


@dataclass(frozen=True)
class _Row:
    """A run of the grid: `predict` returns each image's class if it is not Eq. (1)-(3) with the given K."""

    descriptor: str
    classifier: str = CLASSIFIER
    predict: Callable[[AccuracySetup, str], np.ndarray] | None = None

    @property
    def key(self) -> tuple[str, ...]:
        """Names of the run as a step."""
        return ("accuracy", self.descriptor, *([] if self.predict is None else [self.classifier]))


_ROWS = (
    *(_Row(descriptor) for descriptor in DESCRIPTORS),
    _Row("pixel", "majority vote", _by_majority),
    *(_Row(descriptor, "kernel density, K tuned", _with_tuned_k) for descriptor in TUNED),
    _Row("gap", "nearest centroid", _by_centroid),
    _Row("gap", "logistic regression", _by_logistic_regression),
)


def _matches(result: Classification) -> Matches:
    assert result.matches is not None
    return result.matches


def _image_vectors(memory: Memory) -> np.ndarray:
    """Return the single vector per image of a pooled memory, (n_images, C)."""
    return memory.image_vectors(np.arange(memory.n_images))[:, 0]


def _class_counts(result: Classification) -> np.ndarray:
    """Return n_C of each query image, (n_query_images, n_classes); 0 for images that cannot be read."""
    assert result.class_counts is not None
    counts = np.zeros((len(_matches(result).query_paths), len(result.classes)), np.int64)
    counts[result.rows] = result.class_counts
    return counts
