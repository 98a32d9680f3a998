"""Number formats of the first pass of exact search: which are correct here, and which is fastest.

| name            | products                       | useful for                                         |
|-----------------|--------------------------------|----------------------------------------------------|
| `sparse`        | native, of nonzero values only | activations after a ReLU                           |
| `int16`         | native, of all values          | others, on a CPU without fast 8-bit products       |
| `uint8`         | by torch                       | nonnegative vectors, on a CPU with VNNI or AMX     |
| `int8`          | by torch                       | others, on a CPU with VNNI or AMX                  |
| `half`          | by torch                       | a GPU; a CPU with AMX                              |
| `float32`       | by torch                       | a CPU without any of these                         |
| `float32-numpy` | by NumPy's BLAS                | the same, where it is faster: OpenBLAS on AMD      |

Correctness and speed depend on the processor and on the build of torch, so both are measured. Before a format
is used, its products are checked (`hueprobe.search.exact.self_check`). Speed is measured on some of the
memory's own vectors, with the formats taking turns.
"""

import time
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch

from hueprobe.errors import InputError
from hueprobe.search.exact.blocks import FORMATS, made_block
from hueprobe.search.exact.candidates import Candidates
from hueprobe.search.exact.equal_vectors import EqualVectors
from hueprobe.search.exact.fixed_point import FIXED_FORMATS, FixedBlock, FixedCandidates
from hueprobe.search.exact.grouped import Block
from hueprobe.search.exact.quantized import FLOAT32, MOST_INT8_CHANNELS
from hueprobe.search.exact.self_check import sound_formats

if TYPE_CHECKING:
    from hueprobe.memory.store import Memory

_MOST_NONZERO = 0.4  # largest share of nonzero values for which sparse products are tried
_TRIAL = (128, 2_048)  # queries and vectors of a measurement
# Formats this close to the best are measured again with enough vectors to exceed the caches, like a memory.
_CLOSE, _LARGE_TRIAL = 2.5, (512, 8_192)
_TRIAL_SECONDS, _LEAST_ROUNDS, _MOST_ROUNDS = 0.15, 4, 9
# Slowdown against the best format beyond which measuring stops, after two rounds: anything can delay one.
_HOPELESS, _SURE_ROUNDS = 3, 2
_SETTLE = 0.01  # seconds, in which threads of the previous products stop spinning and free their cores
# Speedup required in a trial: these formats take extra candidates, and a search allocates what trials reuse.
_ADVANTAGE = {"uint8": 1.5, "int8": 1.75, "half": 1.25}
_fastest: dict[tuple[torch.device, int, int, bool], str] = {}  # by device and kind of vectors


class CandidateList(Protocol):
    """Interface of `Candidates` and `FixedCandidates`, which collect candidates from blocks.

    Attributes
    ----------
    residual : ndarray of float64, shape (n,)
        Residual of each query.
    """

    residual: np.ndarray

    def take(self, block: Any) -> None:
        """Search a block of this format for candidates."""
        ...

    def result(self, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Return candidates, padded with -1, and the highest upper bound of all other vectors."""
        ...


def new_candidates(
    number_format: str,
    queries: np.ndarray,
    width: int,
    excluded: np.ndarray,
    n_cells: int,
    *,
    device: torch.device,
    equal: EqualVectors | None = None,
) -> CandidateList:
    """Create the candidate list for blocks of a format; parameters as in `Candidates`."""
    if number_format in FIXED_FORMATS:
        return FixedCandidates(queries, width, excluded, n_cells, equal)
    return Candidates(queries, number_format, width, excluded, n_cells, equal, device=device)


def sample_of(memory: "Memory", ids: np.ndarray) -> np.ndarray:
    """Sample vectors (n, d) evenly from a memory.

    Parameters
    ----------
    memory : Memory
        Memory to sample from.
    ids : ndarray of int64
        Ids of the vectors to choose from.
    """
    n = min(len(ids), _TRIAL[1])
    return memory.vectors(ids[np.linspace(0, len(ids), n, endpoint=False).astype(int)])


def usable_formats(device: torch.device, *, nonnegative: bool) -> tuple[str, ...]:
    """Return the sound formats for some vectors; `uint8` is only for nonnegative ones.

    Parameters
    ----------
    device : torch.device
        Device that computes the products.
    nonnegative : bool
        Whether all values of the vectors are >= 0.
    """
    return tuple(name for name in sound_formats(device) if nonnegative or name != "uint8")


def require_format(number_format: str, n_channels: int, device: torch.device, *, nonnegative: bool) -> None:
    """Raise an error for a format that is unknown, unavailable here, or has wrong products.

    Parameters
    ----------
    number_format : str
        Format to check.
    n_channels : int
        Number of channels of the vectors.
    device : torch.device
        Device that computes the products.
    nonnegative : bool
        Whether all values of the vectors are >= 0.
    """
    if number_format not in FORMATS:
        raise InputError(f"unknown format of products {number_format!r}; choose from: {', '.join(FORMATS)}")
    if number_format not in ("half", *FLOAT32) and n_channels > MOST_INT8_CHANNELS:
        raise InputError(
            f"{number_format} products take at most {MOST_INT8_CHANNELS} channels, got {n_channels}; choose "
            "float32"
        )
    if number_format == "uint8" and not nonnegative:
        raise InputError("uint8 products are for vectors without negative values; choose int8")
    if number_format not in sound_formats(device):
        raise InputError(
            f"{number_format} products are not available on this machine's {device.type}; choose from: "
            f"{', '.join(sound_formats(device))}"
        )


def fastest_format(device: torch.device, sample: np.ndarray, *, nonnegative: bool) -> str:
    """Return the format with the fastest first pass: float16 on CUDA, measured on a CPU.

    It is measured once per process for each kind of vectors.

    Parameters
    ----------
    device : torch.device
        Device that computes the products.
    sample : ndarray of float32, shape (n, d)
        Sample of the memory's vectors.
    nonnegative : bool
        Whether all values of the memory's vectors are >= 0. If so, `uint8` replaces `int8`.
    """
    sound = usable_formats(device, nonnegative=nonnegative)
    if device.type != "cpu":
        return "half" if device.type == "cuda" and "half" in sound else "float32"
    n_channels = sample.shape[1]
    if n_channels > MOST_INT8_CHANNELS:
        return "float32"
    nonzero = float((sample != 0).mean()) if sample.size else 1.0
    kind = (device, n_channels, round(20 * nonzero), nonnegative)
    if kind not in _fastest:
        unfit = {"sparse"} if nonzero > _MOST_NONZERO else set()
        unfit |= {"int8"} if "uint8" in sound else set()
        names = [name for name in sound if name not in unfit]
        seconds = pass_seconds(sample, names) if len(sample) else {"float32": 0.0}
        if len(sample) >= _TRIAL[1]:
            close = [name for name in seconds if seconds[name] <= _CLOSE * min(seconds.values())]
            seconds = pass_seconds(sample, close, _LARGE_TRIAL) if len(close) > 1 else seconds
        _fastest[kind] = min(seconds, key=lambda name: seconds[name] * _ADVANTAGE.get(name, 1))
    return _fastest[kind]


def pass_seconds(sample: np.ndarray, names: list[str], trial: tuple[int, int] = _TRIAL) -> dict[str, float]:
    """Measure the shortest time of a search through a sample in each format on the CPU, in seconds.

    The formats take turns, so that other load on the machine affects all of them. They start with candidates
    from an earlier search, which is the case for almost all vectors of a large memory.

    Parameters
    ----------
    sample : ndarray of float32, shape (n, d)
        Some of the memory's vectors.
    names : list of str
        Formats to measure.
    trial : (int, int), default=(128, 2048)
        Number of queries and of vectors; the sample is repeated if it is too small.
    """
    n_queries, n_rows = trial
    vectors = np.ascontiguousarray(np.resize(sample, (n_rows, sample.shape[1])))
    ids, queries = np.arange(n_rows), vectors[:: n_rows // n_queries].copy()
    excluded = np.full((len(queries), 0), -1)
    trials: dict[str, tuple[CandidateList, Block | FixedBlock]] = {}
    least: dict[str, float] = {}
    for name in names:
        trials[name] = (
            new_candidates(name, queries, 20, excluded, 1, device=torch.device("cpu")),
            made_block(name, vectors, ids),
        )
    end, rounds = 0.0, 0
    while rounds < _LEAST_ROUNDS or (rounds < _MOST_ROUNDS and time.perf_counter() < end):
        time.sleep(_SETTLE)  # native formats are first in a round
        for name, (candidates, block) in list(trials.items()):
            started = time.perf_counter()
            candidates.take(block)
            took = time.perf_counter() - started
            least[name] = min(least.get(name, took), took)
        rounds += 1
        if rounds == _SURE_ROUNDS:
            end = time.perf_counter() + _TRIAL_SECONDS
        if rounds >= _SURE_ROUNDS:
            best = min(least.values())
            trials = {name: trial for name, trial in trials.items() if least[name] <= _HOPELESS * best}
    return least
