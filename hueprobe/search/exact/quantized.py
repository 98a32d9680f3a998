"""Vectors quantized to a cheap number format, their products, and bounds of the quantization error.

A vector x is stored as scale * codes; its *residual* is an upper bound of ||x - scale * codes||. Three
formats use torch:

| name      | codes                               | scale           | product of two codes               |
|-----------|-------------------------------------|-----------------|------------------------------------|
| `int8`    | -127 to 127                         | max |x_i| / 127 | exact, in int32                    |
| `half`    | bfloat16; float16 on CUDA           | 1               | float32 sums, rounded to the format |
| `float32` | the vector itself                   | 1               | float32 sums                       |

int8 suits activations after a ReLU: nine in ten are 0, and 0 is rounded to 0. Two more formats are native
(`hueprobe.search.exact.fixed_point`). `hueprobe.search.exact.formats` measures which format is fastest.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from hueprobe.search.reranking import UNIT, gamma

FORMATS = ("int8", "half", "float32")
ARITHMETIC = 16 * UNIT  # error of the few float32 operations from codes to a score of at most about 1
# Up to this many channels, upper bounds in units of a query's scale exceed NOTHING; `lowest` is below it.
MOST_INT8_CHANNELS = 32_768
NOTHING = -46_000.0


@dataclass(frozen=True)
class Codes:
    """Quantized vectors.

    Attributes
    ----------
    values : Tensor of shape (n, d)
        Codes; int8, bfloat16, float16 or float32.
    scale : Tensor of float32, shape (n,)
        Factor of each vector's codes.
    residual : Tensor of float32, shape (n,)
        Upper bound of ||x - scale * values||.
    """

    values: torch.Tensor
    scale: torch.Tensor
    residual: torch.Tensor


def quantize(vectors: torch.Tensor, number_format: str) -> Codes:
    """Quantize float32 vectors (n, d) to a number format, on their device."""
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
    # The difference, the norm and scale * values were rounded too.
    return Codes(values, scale, residual * (1 + 1e-4) + 4 * UNIT)


def products(queries: Codes, rows: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
    """Multiply codes (n, d) by those of a block (m, d), without scales; write to `out` (n, m)."""
    if rows.dtype == torch.int8:
        # On some processors, torch 2.14 reads expanded rows (of stride 0) out of bounds.
        return torch._int_mm(queries.values, rows.contiguous().T, out=out)
    return torch.mm(queries.values, rows.T, out=out)


def product_dtype(rows: torch.Tensor) -> torch.dtype:
    """Return the data type of `products`."""
    return torch.int32 if rows.dtype == torch.int8 else rows.dtype


def lowest(dtype: torch.dtype) -> float:
    """Return the raw product that marks vectors that may not be matched."""
    return -(2.0**31) + 1 if dtype == torch.int32 else max(torch.finfo(dtype).min, -(2.0**31))


def highest(raw: torch.Tensor) -> torch.Tensor:
    """Return the largest sums that round to the given raw products, as a new float32 tensor.

    Adds half of the format's spacing; int32 products are exact. The result increases with `raw`.
    """
    if raw.dtype not in (torch.bfloat16, torch.float16):
        return raw.to(torch.float32, copy=True)
    above = torch.nextafter(raw, torch.full_like(raw, torch.inf)).float()
    return above.add_(raw.float()).div_(2)


def sum_error(number_format: str, n_channels: int, device: torch.device) -> float:
    """Return gamma, the error bound of computed sums of products of unit vectors.

    This is `reranking.gamma`, which holds for any order of float32 sums. It is four times larger where the
    hardware defines the summation: in half precision, and on a GPU.
    """
    if number_format in ("sparse", "int16", "int8"):
        return 0.0
    error = gamma(n_channels)
    return error if number_format == "float32" and device.type == "cpu" else 4 * error


@contextlib.contextmanager
def full_products() -> Iterator[None]:
    """Prevent torch from rounding float32 factors and float16 sums further, as the bounds require."""
    matmul = torch.backends.cuda.matmul
    before = torch.get_float32_matmul_precision(), matmul.allow_fp16_reduced_precision_reduction
    torch.set_float32_matmul_precision("highest")
    matmul.allow_fp16_reduced_precision_reduction = False
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before[0])
        matmul.allow_fp16_reduced_precision_reduction = before[1]
