"""Vectors quantized to a cheap number format, their products, and what quantizing can have changed.

A vector x is kept as scale * codes; its *residual* is an upper bound of ||x - scale * codes||. Three
formats of torch:

| name      | codes                               | scale           | product of two codes               |
|-----------|-------------------------------------|-----------------|------------------------------------|
| `int8`    | -127 to 127                         | max |x_i| / 127 | exact, in int32                    |
| `half`    | bfloat16; float16 on CUDA           | 1               | float32 sums, rounded to the format |
| `float32` | the vector itself                   | 1               | float32 sums                       |

int8 suits activations after a ReLU: nine in ten are 0, and 0 is rounded to 0. Two more formats are native
(`hueprobe.search.exact.fixed_point`); which is fastest is measured (`hueprobe.search.exact.formats`).
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from hueprobe.search.reranking import UNIT, gamma

FORMATS = ("int8", "half", "float32")
ARITHMETIC = 16 * UNIT  # of the few float32 operations that turn codes into a score of at most about 1
# In units of a query's scale every upper bound lies above NOTHING, and `lowest` below, with so many channels:
MOST_INT8_CHANNELS = 32_768
NOTHING = -46_000.0


@dataclass(frozen=True)
class Codes:
    """Quantized vectors.

    Attributes
    ----------
    values : Tensor of shape (n, d)
        int8, bfloat16, float16 or float32.
    scale : Tensor of float32, shape (n,)
    residual : Tensor of float32, shape (n,)
        At least ||x - scale * values||.
    """

    values: torch.Tensor
    scale: torch.Tensor
    residual: torch.Tensor


def quantize(vectors: torch.Tensor, number_format: str) -> Codes:
    """Quantize float32 vectors (n, d) to a format, on their device."""
    ones = torch.ones(len(vectors), device=vectors.device)
    if number_format == "float32":
        return Codes(vectors, ones, torch.zeros_like(ones))
    if number_format == "half":
        values = vectors.to(torch.float16 if vectors.is_cuda else torch.bfloat16)
        rounded, scale = values.float(), ones
    else:
        largest = vectors.abs().amax(1)
        scale = torch.where(largest > 0, largest / 127, 1)
        rounded = (vectors / scale[:, None]).round_()
        values = rounded.to(torch.int8)
        rounded *= scale[:, None]
    residual = torch.linalg.vector_norm(rounded.sub_(vectors), dim=1)
    # The difference, the norm and scale * values were themselves rounded.
    return Codes(values, scale, residual * (1 + 1e-4) + 4 * UNIT)


def products(queries: Codes, rows: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
    """Multiply codes (n, d) with those of a block (m, d) into `out` (n, m); without their scales."""
    if rows.dtype == torch.int8:
        return torch._int_mm(queries.values, rows.T, out=out)
    return torch.mm(queries.values, rows.T, out=out)


def product_dtype(rows: torch.Tensor) -> torch.dtype:
    """Return the dtype in which `products` come."""
    return torch.int32 if rows.dtype == torch.int8 else rows.dtype


def lowest(dtype: torch.dtype) -> float:
    """Return the raw product that marks what may not be matched."""
    return -(2.0**31) + 1 if dtype == torch.int32 else max(torch.finfo(dtype).min, -(2.0**31))


def highest(raw: torch.Tensor) -> torch.Tensor:
    """Return the largest sums (a new float32 tensor) that may have been rounded to raw products.

    Half of a format's spacing is added; int32 products are exact. Increases with `raw`.
    """
    if raw.dtype not in (torch.bfloat16, torch.float16):
        return raw.to(torch.float32, copy=True)
    above = torch.nextafter(raw, torch.full_like(raw, torch.inf)).float()
    return above.add_(raw.float()).div_(2)


def sum_error(number_format: str, n_channels: int, device: torch.device) -> float:
    """Return gamma: how far computed sums of products of unit vectors may lie from the true ones.

    `reranking.gamma` in whatever order float32 sums run. Four times that where the hardware adds
    up in its own way: in half precision, and on a GPU.
    """
    if number_format in ("sparse", "int16", "int8"):
        return 0.0
    error = gamma(n_channels)
    return error if number_format == "float32" and device.type == "cpu" else 4 * error


@contextlib.contextmanager
def full_products() -> Iterator[None]:
    """Keep torch from rounding float32 factors and float16 sums further while the bounds rely on it."""
    matmul = torch.backends.cuda.matmul
    before = torch.get_float32_matmul_precision(), matmul.allow_fp16_reduced_precision_reduction
    torch.set_float32_matmul_precision("highest")
    matmul.allow_fp16_reduced_precision_reduction = False
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before[0])
        matmul.allow_fp16_reduced_precision_reduction = before[1]
