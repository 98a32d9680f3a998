"""Self-check of exact search: which number formats have correct products on this machine.

Processors and builds of torch and NumPy differ, and some have wrong products: 8-bit products may saturate,
for example. So before a format is used, some of its products are compared with integer or float64 products,
and the native selection with sorting.
"""

import functools
import warnings

import numpy as np
import torch

from hueprobe.errors import HueprobeWarning, SearcherError
from hueprobe.search.exact import quantized
from hueprobe.search.exact.blocks import FORMATS, made_block
from hueprobe.search.exact.fixed_point import FIXED_FORMATS, FixedBlock, FixedCandidates
from hueprobe.search.exact.native import instructions


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
        name
        for name in FORMATS
        if name in quantized.FORMATS or (device.type == "cpu" and instructions())
        if name != "float32-numpy" or device.type == "cpu"
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
    """Check products of torch and NumPy against exact products, within the error bound of the format."""
    channels = (96, 97, 1) if device.type == "cpu" else (96,)  # CUDA multiplies bytes in eights only
    return all(_right_for(number_format, device, n_channels) for n_channels in channels)


def _right_for(number_format: str, device: torch.device, n_channels: int) -> bool:
    vectors = torch.from_numpy(extreme_vectors(64, n_channels)).to(device)
    codes = quantized.quantize(vectors.abs() if number_format == "uint8" else vectors, number_format)
    values, offset = codes.values, codes.offset
    if values.dtype == torch.int8:
        values[:32] = torch.where(vectors[:32] < 0, -128 if offset else -127, 127)
    right = True
    for rows in (values, values[::2], values.T.contiguous().T, values[:1].expand(32, n_channels)):
        out = torch.empty(64, len(rows), dtype=quantized.product_dtype(values), device=device)
        with quantized.full_products():
            raw = quantized.products(values, rows, out, number_format)
        if offset:
            raw.add_(quantized.sums_of_rows(rows), alpha=offset)
            raw += quantized.constant_of_queries(codes)[:, None]
        truth = (values.cpu().double().numpy() + offset) @ (rows.cpu().double().numpy() + offset).T
        highest = quantized.highest(raw).cpu().double().numpy()
        lowest = -quantized.highest(-raw).cpu().double().numpy()
        error = quantized.sum_error(number_format, n_channels, device) * 1.02
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
