"""Vectors quantized to a cheap number format, their products, and bounds of the quantization error.

A vector x is stored as scale * codes; its *residual* is an upper bound of ||x - scale * codes||. Four formats
use torch, one the BLAS (linear algebra library) that NumPy was built with:

| name            | codes                     | scale           | product of two vectors' codes        |
|-----------------|---------------------------|-----------------|--------------------------------------|
| `uint8`         | 0 to 255                  | max x_i / 255   | exact, in int32                      |
| `int8`          | -127 to 127               | max |x_i| / 127 | exact, in int32                      |
| `half`          | bfloat16; float16 on CUDA | 1               | float32 sums, rounded to the format  |
| `float32`       | the vector itself         | 1               | float32 sums                         |
| `float32-numpy` | the vector itself         | 1               | float32 sums                         |

8-bit codes suit activations after a ReLU: nine in ten are 0, and 0 is rounded to 0. `uint8` is for
nonnegative vectors. Its residuals are half as large, since no code is spent on the sign. Codes a and b of
such vectors are kept as signed bytes a' = a - 128 and b' = b - 128, since torch multiplies signed bytes, and

    sum a b  =  sum a' b' + 128 sum b' + 128 sum (a' + 128)

exactly. All terms stay within int32 for up to 32,768 channels, as 255^2 * 32,768 < 2^31. If a query has
negative values, all queries keep the codes a of `int8`; then  sum a b  =  sum a b' + 128 sum a.

Two more formats are native (`hueprobe.search.exact.fixed_point`). `hueprobe.search.exact.formats` measures
which format is fastest.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from hueprobe.search.reranking import UNIT, gamma
from hueprobe.threads import single_blas_threads, threaded_map

FORMATS = ("uint8", "int8", "half", "float32", "float32-numpy")
SCALED = ("uint8", "int8")  # formats in which each vector has a scale
FLOAT32 = ("float32", "float32-numpy")  # formats that keep the vectors as they are
OFFSET = 128  # of codes from 0 to 255, which are kept as signed bytes
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
        Codes without their offset; int8, bfloat16, float16 or float32.
    scale : Tensor of float32, shape (n,)
        Factor of each vector's codes.
    residual : Tensor of float32, shape (n,)
        Upper bound of ||x - scale * (values + offset)||.
    offset : int, default=0
        Number to add to all values; 128 for codes from 0 to 255.
    """

    values: torch.Tensor
    scale: torch.Tensor
    residual: torch.Tensor
    offset: int = 0

    @property
    def signed(self) -> bool:
        """Whether some codes are negative."""
        return not self.offset and bool(self.values.numel() and self.values.min() < 0)

    def part(self, rows: slice) -> "Codes":
        """Return the codes of some of the vectors."""
        return Codes(self.values[rows], self.scale[rows], self.residual[rows], self.offset)


def quantize(vectors: torch.Tensor, number_format: str) -> Codes:
    """Quantize float32 vectors (n, d) to a number format, on their device.

    If any value is negative, `uint8` gives the codes of `int8`.
    """
    ones = torch.ones(len(vectors), device=vectors.device)
    if number_format in FLOAT32:
        return Codes(vectors, ones, torch.zeros_like(ones))
    offset = OFFSET if number_format == "uint8" and not bool((vectors < 0).any()) else 0
    if number_format == "half":
        values = vectors.to(torch.float16 if vectors.is_cuda else torch.bfloat16)
        rounded, scale = values.float(), ones
    else:
        largest = vectors.abs().amax(1)
        scale = torch.where(largest > 0, largest / (127 + offset), 1)
        rounded = (vectors / scale[:, None]).round_()
        values = (rounded - offset).to(torch.int8)
        rounded *= scale[:, None]
    residual = torch.linalg.vector_norm(rounded.sub_(vectors), dim=1)
    # The difference, the norm and scale * values were rounded too.
    return Codes(values, scale, residual * (1 + 1e-4) + 4 * UNIT, offset)


def products(
    queries: torch.Tensor, rows: torch.Tensor, out: torch.Tensor, number_format: str
) -> torch.Tensor:
    """Multiply values of codes (n, d) by those of a block (m, d), without scales and offsets.

    Parameters
    ----------
    queries, rows : Tensor of shape (n, d) and (m, d)
        `Codes.values`.
    out : Tensor of shape (n, m)
        Written to and returned; of the type `product_dtype`.
    number_format : str
        One of `FORMATS`.
    """
    if number_format == "float32-numpy":
        return _multiplied_by_numpy(queries.numpy(), rows.numpy(), out)
    if rows.dtype == torch.int8:
        # oneDNN 3.12 has wrong products of a single channel, and reads rows of stride 0 beyond their end.
        if rows.shape[1] == 1:
            return torch.mul(queries.to(torch.int32), rows.T, out=out)
        return torch._int_mm(queries, rows.contiguous().T if 0 in rows.stride() else rows.T, out=out)
    return torch.mm(queries, rows.T, out=out)


def _multiplied_by_numpy(queries: np.ndarray, rows: np.ndarray, out: torch.Tensor) -> torch.Tensor:
    """Multiply in as many threads as torch uses."""
    n_threads = min(torch.get_num_threads(), len(rows))
    ends = np.linspace(0, len(rows), n_threads + 1).astype(int)
    written = out.numpy()

    def multiply(start: int, stop: int) -> None:
        np.matmul(queries, rows[start:stop].T, out=written[:, start:stop])

    workers = n_threads if n_threads > 1 else 0
    with (
        single_blas_threads() as limit,
        threaded_map(workers, name="hueprobe-products", before=limit) as each,
    ):
        for _ in each(multiply, ends[:-1], ends[1:]):
            pass
    return out


def sums_of_rows(values: torch.Tensor) -> torch.Tensor:
    """Return the sum of each row of int8 values (n, d) as int32 (n,)."""
    if values.device.type != "cpu":
        return values.sum(1, dtype=torch.int32)
    ones = torch.ones(1, values.shape[1], dtype=torch.int8)  # on a CPU, products are 40 times as fast
    return products(ones, values, torch.empty(1, len(values), dtype=torch.int32), "uint8")[0]


def constant_of_queries(queries: Codes) -> torch.Tensor:
    """Return what the offset of `uint8` vectors adds to all products of each query, int32 (n,).

    `queries.offset` times the sums of the vectors' values, which differ, comes on top.
    """
    totals = queries.values.sum(1, dtype=torch.int32)
    return OFFSET * (totals + queries.offset * queries.values.shape[1])


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

    This is `reranking.gamma`, which holds for any order of float32 sums, with or without fused multiply-add,
    and so for every BLAS on a CPU. It is four times larger where the hardware defines the summation: in half
    precision, and on a GPU.
    """
    if number_format not in ("half", *FLOAT32):
        return 0.0
    error = gamma(n_channels)
    return error if number_format in FLOAT32 and device.type == "cpu" else 4 * error


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
