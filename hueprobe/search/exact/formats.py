"""Number formats of the first pass of exact search: which are correct here, and which is fastest.

| name      | products                             | useful for                                       |
|-----------|--------------------------------------|--------------------------------------------------|
| `sparse`  | native, of nonzero values only       | activations after a ReLU                         |
| `int16`   | native, of all values                | others, on a CPU without fast 8-bit products     |
| `int8`    | by torch                             | a CPU with VNNI or AMX                           |
| `half`    | by torch                             | a GPU; a CPU with AMX                            |
| `float32` | by torch                             | all others                                       |

Correctness and speed depend on the processor and on the build of torch, so both are measured. Before a format
is used, some of its products are compared with integer or float64 products. Speed is measured on some
of the memory's own vectors, with the formats taking turns.
"""

import functools
import time
import warnings
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch

from hueprobe.errors import HueprobeWarning, InputError, SearcherError
from hueprobe.search.exact import quantized
from hueprobe.search.exact.blocks import Block
from hueprobe.search.exact.candidates import Candidates
from hueprobe.search.exact.equal_vectors import EqualVectors
from hueprobe.search.exact.fixed_point import FIXED_FORMATS, FixedBlock, FixedCandidates
from hueprobe.search.exact.native import instructions
from hueprobe.search.exact.quantized import MOST_INT8_CHANNELS

if TYPE_CHECKING:
    from hueprobe.memory.store import Memory

FORMATS = (*FIXED_FORMATS, *quantized.FORMATS)
_MOST_NONZERO = 0.4  # largest share of nonzero values for which sparse products are tried
_TRIAL = (128, 2_048)  # queries and vectors of a measurement
# Formats this close to the best are measured again with enough vectors to exceed the caches, like a memory.
_CLOSE, _LARGE_TRIAL = 2.5, (512, 8_192)
_TRIAL_SECONDS, _LEAST_ROUNDS, _MOST_ROUNDS = 0.15, 3, 9
_HOPELESS = 3  # slowdown against the best format beyond which measuring stops
_ADVANTAGE = {"int8": 1.25, "half": 1.25}  # speedup required, as compensation for extra candidates
_fastest: dict[tuple[torch.device, int, int], str] = {}  # by device, channels and share of nonzero values


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


def require_format(number_format: str, n_channels: int, device: torch.device) -> None:
    """Raise an error for a format that is unknown, unavailable here, or has wrong products.

    Parameters
    ----------
    number_format : str
        Format to check.
    n_channels : int
        Number of channels of the vectors.
    device : torch.device
        Device that computes the products.
    """
    if number_format not in FORMATS:
        raise InputError(f"unknown format of products {number_format!r}; choose from: {', '.join(FORMATS)}")
    if number_format != "float32" and n_channels > MOST_INT8_CHANNELS and number_format != "half":
        raise InputError(
            f"{number_format} products take at most {MOST_INT8_CHANNELS} channels, got {n_channels}; choose "
            "float32"
        )
    if number_format not in sound_formats(device):
        raise InputError(
            f"{number_format} products are not available on this machine's {device.type}; choose from: "
            f"{', '.join(sound_formats(device))}"
        )


def fastest_format(device: torch.device, sample: np.ndarray) -> str:
    """Return the format with the fastest first pass: float16 on CUDA, measured on a CPU.

    It is measured once per process for each kind of vectors.

    Parameters
    ----------
    device : torch.device
        Device that computes the products.
    sample : ndarray of float32, shape (n, d)
        Sample of the memory's vectors.
    """
    sound = sound_formats(device)
    if device.type != "cpu":
        return "half" if device.type == "cuda" and "half" in sound else "float32"
    n_channels = sample.shape[1]
    if n_channels > MOST_INT8_CHANNELS:
        return "float32"
    nonzero = float((sample != 0).mean()) if sample.size else 1.0
    kind = (device, n_channels, round(20 * nonzero))
    if kind not in _fastest:
        names = [name for name in sound if name != "sparse" or nonzero <= _MOST_NONZERO]
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
        for name, (candidates, block) in list(trials.items()):
            started = time.perf_counter()
            candidates.take(block)
            took = time.perf_counter() - started
            least[name] = min(least.get(name, took), took)
        best = min(least.values())
        trials = {name: trial for name, trial in trials.items() if least[name] <= _HOPELESS * best}
        rounds += 1
        if rounds == 1:  # formats that are far too slow are measured only once
            end = time.perf_counter() + _TRIAL_SECONDS
    return least


def made_block(number_format: str, vectors: np.ndarray, ids: np.ndarray) -> "Block | FixedBlock":
    """Create a block on the CPU from float32 vectors (n, d) and the ids (n,) that index them."""
    if number_format in FIXED_FORMATS:
        return FixedBlock.of(lambda chosen: vectors[chosen], ids, number_format)
    return Block.of(torch.from_numpy(vectors), ids, number_format)


@functools.cache
def sound_formats(device: torch.device) -> tuple[str, ...]:
    """Return the formats that a device supports with correct products; checked once per process.

    Parameters
    ----------
    device : torch.device
        Device that computes the products.

    Warns
    -----
    HueprobeWarning
        The products of a format are wrong; it is not used.

    Raises
    ------
    SearcherError
        The products of every format are wrong.
    """
    there = [
        name for name in FORMATS if name not in FIXED_FORMATS or (device.type == "cpu" and instructions())
    ]
    sound = []
    for name in there:
        try:
            right = (
                _fixed_products_are_right(name)
                if name in FIXED_FORMATS
                else _products_are_right(name, device)
            )
        except (RuntimeError, AttributeError):  # this torch has no such products: _int_mm is recent
            continue
        if right:
            sound.append(name)
        else:
            warnings.warn(
                f"{name} products are wrong on this machine's {device.type}; exact search does not use them",
                HueprobeWarning,
                stacklevel=2,
            )
    if not sound:
        raise SearcherError(f"no products are right on this machine's {device.type}; choose another device")
    return tuple(sound)


def extreme_vectors(n: int, n_channels: int) -> np.ndarray:
    """Return unit vectors (n, n_channels), float32, that are most likely to reveal wrong products.

    They have a single 1 or -1, equal values, values of random sign, or a few large values.
    """
    rng = np.random.default_rng(0)
    vectors = rng.choice([-1.0, 1.0], (n, n_channels))
    kind = np.arange(n) % 5
    vectors[kind == 0] = np.eye(n_channels)[rng.integers(0, n_channels, int((kind == 0).sum()))]
    vectors[kind == 1] *= -np.eye(n_channels)[rng.integers(0, n_channels, int((kind == 1).sum()))]
    vectors[kind == 2] = 1
    vectors[kind == 3] *= rng.random((int((kind == 3).sum()), n_channels)) ** 8
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors.astype(np.float32)


def _products_are_right(number_format: str, device: torch.device) -> bool:
    """Check torch products against exact products, within the error bound of the format."""
    vectors = torch.from_numpy(extreme_vectors(64, 96)).to(device)
    codes = quantized.quantize(vectors, number_format)
    if number_format == "int8":
        codes.values[:32] = torch.where(codes.values[:32] < 0, -127, 127).to(torch.int8)
    values = codes.values
    right = True
    for rows in (values, values[::2], values[:, :96].T.contiguous().T, values[:1].expand(32, 96)):
        out = torch.empty(64, len(rows), dtype=quantized.product_dtype(values), device=device)
        with quantized.full_products():
            raw = quantized.products(codes, rows, out)
        truth = values.cpu().double().numpy() @ rows.cpu().double().numpy().T
        highest = quantized.highest(raw).cpu().double().numpy()
        lowest = -quantized.highest(-raw).cpu().double().numpy()
        error = quantized.sum_error(number_format, 96, device) * 1.02
        right &= bool((lowest - error <= truth).all() and (truth <= highest + error).all())
    return right


def _fixed_products_are_right(number_format: str) -> bool:
    """Check native products against integer products, and the selection against sorting."""
    wide = extreme_vectors(150, 97)
    broadcast = np.broadcast_to(wide[2], (40, 97))
    right = True
    for rows, queries in ((wide, wide[:70]), (wide[::-2], wide[1::3]), (broadcast, wide[:5])):
        n, width = len(rows), len(rows) // 2
        block = made_block(number_format, np.ascontiguousarray(rows), np.arange(n))
        candidates = FixedCandidates(queries, width, np.full((len(queries), 0), -1), 1)
        assert isinstance(block, FixedBlock)
        candidates.take(block)
        scores, found, left = candidates.lists()
        codes, asked = (
            np.rint(part.astype(np.float64) * 32_767).astype(np.int64) for part in (rows, queries)
        )
        truth = asked @ codes.T
        ordered = -np.sort(-truth, axis=1)
        right &= bool(
            (np.take_along_axis(truth, found, axis=1) == scores).all()
            and (-np.sort(-scores.astype(np.int64), axis=1) == ordered[:, :width]).all()
            and (left == ordered[:, width]).all()
        )
    return right
