"""The fastest searcher of a memory for a target recall: each candidate is built and timed."""

import math
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hueprobe.arguments import as_count
from hueprobe.errors import InputError, SearcherError
from hueprobe.files import PARTIAL, storing
from hueprobe.progress import named_pass
from hueprobe.search.index import StoredIndex, open_searcher
from hueprobe.search.index_folder import indexes_of, written_alone
from hueprobe.search.recall import sample_queries, share_found
from hueprobe.search.spec import parse_spec

if TYPE_CHECKING:
    from hueprobe.memory.store import Memory
    from hueprobe.search.neighbors import Neighbors, Searcher

DEFAULT_QUERIES = 500
# A round times exact search and the trial once each, one after the other. Rounds fill about one second, so
# that a single disturbance changes neither the median nor the quartiles.
_FEWEST_ROUNDS, _MOST_ROUNDS, _SECONDS = 7, 25, 1.0
_TREES = (10, 50)
_EF_SEARCH = (64, 128, 256, 512)
_FEWEST_TRAINING_VECTORS = 39  # per list; with fewer, FAISS's k-means warns


@dataclass(frozen=True)
class Trial:
    """Recall, speed and size of one SPEC.

    Attributes
    ----------
    spec : str
        The SPEC.
    recall : float
        Share of the k true neighbors that it found.
    queries_per_second : float
        Speed with all queries at once, including re-ranking and exclusion; median of the rounds.
    times_exact : float
        Its speed as a multiple of that of exact search in the same round; median of the rounds.
    build_seconds : float
        Time to build its index; trials that differ only in search settings share one index.
    n_bytes : int
        Size of the index on disk; 0 for exact search, which has none.
    times_exact_low, times_exact_high : float, default=nan
        Lower and upper quartile of that multiple over the rounds. For exact search: quartiles of its own
        speed, divided by the median.
    rounds : int, default=0
        Number of times that its speed was measured.

    See Also
    --------
    hueprobe.search.tune_searcher : Makes trials.

    Examples
    --------
    >>> tuning = hp.search.tune_searcher(memory, specs=["faiss:Flat"], n_queries=20)
    >>> [(trial.spec, trial.recall) for trial in tuning.trials]
    [('exact', 1.0), ('faiss:Flat', 1.0)]
    """

    spec: str
    recall: float
    queries_per_second: float
    times_exact: float
    build_seconds: float
    n_bytes: int
    times_exact_low: float = math.nan
    times_exact_high: float = math.nan
    rounds: int = 0


@dataclass(frozen=True)
class Tuning:
    """Result of `tune_searcher`: all trials on one memory.

    Attributes
    ----------
    memory : str
        Path of the memory.
    n_vectors, n_queries, k : int
        Number of vectors searched, of queries at once, and of neighbors.
    target_recall : float
        Target recall.
    trials : tuple of Trial
        The trials, exact search first.
    failed : tuple of (str, str)
        SPEC and reason of each searcher that could not be built or searched.

    See Also
    --------
    hueprobe.search.tune_searcher : Makes it.

    Examples
    --------
    >>> tuning = hp.search.tune_searcher(memory, specs=["faiss:Flat"], n_queries=20)
    >>> tuning.recommended.recall >= tuning.target_recall
    True
    """

    memory: str
    n_vectors: int
    n_queries: int
    k: int
    target_recall: float
    trials: tuple[Trial, ...]
    failed: tuple[tuple[str, str], ...]

    @property
    def recommended(self) -> Trial:
        """The trial with the largest `times_exact` among those that reach the target recall."""
        return _fastest(self.trials, self.target_recall)

    def document(self) -> dict[str, Any]:
        """Return all trials as plain values, for JSON.

        Returns
        -------
        dict
            The attributes, and the SPEC that is `recommended`.

        Examples
        --------
        >>> tuning = hp.search.tune_searcher(memory, specs=["faiss:Flat"], n_queries=20)
        >>> sorted(tuning.document())
        ['failed', 'k', 'memory', 'n_queries', 'n_vectors', 'recommended', 'target_recall', 'trials']
        """
        failed = [{"spec": spec, "reason": reason} for spec, reason in self.failed]
        return {**asdict(self), "failed": failed, "recommended": self.recommended.spec}


def tune_searcher(
    memory: "Memory",
    *,
    recall: float = 0.99,
    k: int = 10,
    specs: Sequence[str] | None = None,
    n_queries: int = DEFAULT_QUERIES,
    keep: bool = False,
    seed: int = 0,
    index_dir: str | Path | None = None,
    progress: bool = False,
) -> Tuning:
    """Find the fastest searcher of a memory for a target recall.

    Each searcher is timed on vectors drawn from the memory; the image of a query is excluded. Indexes are
    built one after the other in a temporary folder. The next run removes the leftovers of a killed one.
    Meanwhile the indexes are locked, and with them the memory, if indexes are kept in its folder.

    Parameters
    ----------
    memory : Memory
        A complete memory.
    recall : float, default=0.99
        Target recall, above 0 and at most 1.
    k : int, default=10
        Number of neighbors.
    specs : sequence of str, optional
        SPECs to try besides exact search. By default several of Annoy and FAISS that suit the memory's size.
    n_queries : int, default=500
        Number of queries, which are searched at once: exact search gains most from many.
    keep : bool, default=False
        Whether to keep the recommended index.
    seed : int, default=0
        Seed of the draw of queries.
    index_dir : path, optional
        Folder to build and keep indexes in; see `hueprobe.open_searcher`.
    progress : bool, default=False
        Whether to show progress of the builds.

    Returns
    -------
    Tuning
        All trials, and the recommended one.

    Raises
    ------
    InputError
        `recall`, `k` or `n_queries` is out of range.
    SearcherError
        A SPEC is invalid, or the memory is not complete.

    See Also
    --------
    hueprobe.search.measure_recall : Recall of one searcher.
    hueprobe.open_searcher : Open the recommended searcher.

    Examples
    --------
    >>> tuning = hp.search.tune_searcher(memory, recall=0.95, specs=["faiss:Flat"], n_queries=20)
    >>> tuning.n_vectors, tuning.n_queries, tuning.failed
    (588, 20, ())
    >>> searcher = hp.open_searcher(memory, tuning.recommended.spec)
    """
    if not 0 < recall <= 1:
        raise InputError(f"recall must lie above 0 and be at most 1, got {recall}")
    k, n_queries = as_count("k", k), as_count("n_queries", n_queries)
    if not memory.complete:
        raise SearcherError(f"{memory.path} is not complete; finish `hueprobe index` before tuning")
    parsed = [parse_spec(spec) for spec in (candidate_specs(memory, k) if specs is None else specs)]
    indexes = {
        spec.text: StoredIndex(memory, spec, index_dir=index_dir) for spec in parsed if spec.needs_index
    }
    with _building_site(memory, index_dir):
        pass  # report at once if the folder cannot be written
    measurement = _Measurement(memory, k, n_queries, seed, index_dir, progress=progress)
    trials, failed = [measurement.of_exact_search()], []
    best: StoredIndex | None = None
    with _building_site(memory, index_dir) as site:
        # SPECs that differ only in search settings share one index.
        for name, group in groupby(sorted(indexes.values(), key=_folder_name), key=_folder_name):
            settings = list(group)
            try:
                trials += _try_index(settings, site / name, measurement, progress=progress)
            except SearcherError as error:
                failed += [(index.spec.text, str(error)) for index in settings]
            best = indexes.get(_fastest(trials, recall).spec)
            _remove_all_but(site, _folder_name(best) if keep and best else None)
        if keep and best:
            best.folder.install(best.file_in(site / _folder_name(best)))
    return Tuning(
        str(memory.path), int(memory.valid().sum()), measurement.n, k, recall, tuple(trials), tuple(failed)
    )


def candidate_specs(memory: "Memory", k: int) -> tuple[str, ...]:
    """Return the SPECs worth trying on a memory of this size.

    Annoy inspects 1/64, 1/16 and 1/4 of the vectors, besides its default. FAISS makes about 4 sqrt(n) lists
    and searches 1/256 to 1/4 of them.

    Parameters
    ----------
    memory : Memory
        The memory.
    k : int
        Number of neighbors.
    """
    n = int(memory.valid().sum())
    specs = ["exact", "faiss:Flat"]
    for trees in _TREES:
        own = trees * (k + memory.grid.n_cells)
        looked_at = [_two_digits(n / share) for share in (64, 16, 4)]
        settings = ["", *(f",search_k={number}" for number in looked_at if number > 2 * own)]
        specs += [f"annoy:trees={trees}{setting}" for setting in settings]
    specs += [f"faiss:HNSW32;efSearch={ef}" for ef in _EF_SEARCH]
    most = max(1, n // _FEWEST_TRAINING_VECTORS)
    lists = 2 ** min(round(math.log2(4 * math.sqrt(max(n, 1)))), int(math.log2(most)))
    probes = sorted({max(1, lists // share) for share in (256, 64, 16, 4)})
    specs += [f"faiss:IVF{lists},Flat;nprobe={probe}" for probe in probes]
    return tuple(specs)


class _Measurement:
    """The queries, their true neighbors, and the exact search that every round is compared with."""

    def __init__(
        self,
        memory: "Memory",
        k: int,
        n_queries: int,
        seed: int,
        index_dir: str | Path | None,
        *,
        progress: bool,
    ) -> None:
        self._vectors, self._excluded = sample_queries(memory, n_queries, seed=seed)
        self.n = len(self._vectors)
        if not self.n:
            raise InputError(f"{memory.path} holds no nonzero vectors; there is nothing to search")
        self._k, self._exact = k, open_searcher(memory, index_dir=index_dir, progress=progress)
        self._truth = self._search(self._exact)  # also prepares the quantized vectors for later searches

    def of_exact_search(self) -> Trial:
        seconds = self._rounds(self._exact)
        median = float(np.median(seconds))
        low, high = _quartiles(median / seconds)
        return Trial("exact", 1.0, self.n / median, 1.0, 0.0, 0, low, high, len(seconds))

    def of(self, searcher: "Searcher", build_seconds: float, n_bytes: int) -> Trial:
        recall = share_found(self._search(searcher), self._truth)
        exact, own = self._rounds(self._exact, searcher).reshape(-1, 2).T
        low, high = _quartiles(exact / own)
        return Trial(
            searcher.spec.text, recall, self.n / float(np.median(own)), float(np.median(exact / own)),
            build_seconds, n_bytes, low, high, len(own),
        )  # fmt: skip

    def _search(self, searcher: "Searcher") -> "Neighbors":
        return searcher.search(self._vectors, self._k, exclude_images=self._excluded)

    def _rounds(self, *searchers: "Searcher") -> np.ndarray:
        """Return the seconds of each searcher in each round, shape (n_rounds * n_searchers,)."""
        seconds: list[float] = []
        while len(seconds) < _FEWEST_ROUNDS * len(searchers) or (
            sum(seconds) < _SECONDS and len(seconds) < _MOST_ROUNDS * len(searchers)
        ):
            seconds += [self._seconds(searcher) for searcher in searchers]
        return np.array(seconds)

    def _seconds(self, searcher: "Searcher") -> float:
        started = time.perf_counter()
        self._search(searcher)
        return time.perf_counter() - started


def _try_index(
    settings: list[StoredIndex], folder: Path, measurement: _Measurement, *, progress: bool
) -> list[Trial]:
    """Build one index and measure it under each of its settings."""
    started = time.perf_counter()
    folder.mkdir()
    with named_pass(settings[0].spec.index):
        file = settings[0].write(folder, progress=progress)
    seconds, n_bytes = time.perf_counter() - started, file.stat().st_size
    return [measurement.of(index.load(folder), seconds, n_bytes) for index in settings]


def _quartiles(values: np.ndarray) -> tuple[float, float]:
    low, high = np.quantile(values, [0.25, 0.75])
    return float(low), float(high)


def _folder_name(index: StoredIndex) -> str:
    return index.folder.path.name


@contextmanager
def _building_site(memory: "Memory", index_dir: str | Path | None) -> Iterator[Path]:
    """Yield an empty temporary folder among the memory's indexes, which are locked meanwhile."""
    indexes = indexes_of(memory, index_dir)
    site = indexes / f"tune{PARTIAL}"
    with written_alone(memory, indexes):
        shutil.rmtree(site, ignore_errors=True)
        with storing(site):
            site.mkdir(parents=True)
        try:
            yield site
        finally:
            shutil.rmtree(site, ignore_errors=True)
            if not {path.name for path in indexes.iterdir()} - {"lock"}:
                shutil.rmtree(indexes)


def _remove_all_but(site: Path, name: str | None) -> None:
    for folder in list(site.iterdir()):
        if folder.name != name:
            shutil.rmtree(folder)


def _fastest(trials: Sequence[Trial], recall: float) -> Trial:
    return max((trial for trial in trials if trial.recall >= recall), key=lambda trial: trial.times_exact)


def _two_digits(value: float) -> int:
    """Round to two significant digits.

    >>> _two_digits(1378.1), _two_digits(7.3)
    (1400, 7)
    """
    return max(1, int(float(f"{value:.1e}"))) if value >= 10 else max(1, round(value))
