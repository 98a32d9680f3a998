"""The device and precision that a network runs with."""

import contextlib
import warnings
from collections.abc import Callable, Iterator

import torch
from torch import nn

from hueprobe.errors import HueprobeWarning, InputError, require_choice

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def choose_device(device: str) -> torch.device:
    """Return the torch device of `auto`, `cpu`, `cuda`, `cuda:<i>` or `mps`.

    `auto` prefers CUDA, then MPS, then the CPU. A device that is requested by name and is not
    available is an InputError, never replaced by another: results differ in the last digits between
    devices.
    """
    if device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda", torch.cuda.current_device())
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    kind, colon, number = device.partition(":")
    if kind not in ("cpu", "cuda", "mps") or (colon and not (kind == "cuda" and number.isdecimal())):
        raise InputError(f"unknown device {device!r}; choose one of: auto, cpu, cuda, cuda:<number>, mps")
    if kind == "mps" and not torch.backends.mps.is_available():
        raise InputError("device 'mps' is not available here; use auto or cpu")
    if kind == "cuda":
        n_devices = n_cuda_devices()
        if int(number or 0) >= n_devices:
            raise InputError(
                f"device {device!r} is not available, CUDA finds {n_devices} here; use auto or cpu"
            )
        return torch.device("cuda", int(number) if number else torch.cuda.current_device())
    return torch.device(kind)


def n_cuda_devices() -> int:
    """Return the number of CUDA devices that this process may use."""
    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def choose_precision(precision: str, device: torch.device) -> str:
    """Return `precision`, or `fp32` with a HueprobeWarning if `device` does not support it."""
    require_choice("precision", precision, PRECISIONS)
    if precision == "fp32" or _autocasts(device, PRECISIONS[precision]):
        return precision
    warnings.warn(
        f"precision {precision!r} does not work on {device}: falling back to fp32",
        HueprobeWarning,
        stacklevel=3,
    )
    return "fp32"


def _autocasts(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether a convolution under autocast on this device returns `dtype`, tested by running one."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own "disabling autocast": choose_precision warns itself
        try:
            with torch.inference_mode(), torch.autocast(device.type, dtype):
                image, kernel = torch.ones(1, 8, 5, 5, device=device), torch.ones(8, 8, 3, 3, device=device)
                return nn.functional.conv2d(image, kernel).dtype == dtype
        except RuntimeError:
            return False


@contextlib.contextmanager
def most_device_memory() -> Iterator[Callable[[], int | None]]:
    """Yield a function that returns the most memory of the block on all CUDA devices in bytes, or None."""
    n_devices = n_cuda_devices()
    for number in range(n_devices):
        torch.cuda.reset_peak_memory_stats(number)

    def most() -> int | None:
        if not n_devices:
            return None
        return sum(torch.cuda.max_memory_reserved(number) for number in range(n_devices))

    yield most
