"""Rounding to float16: torch's bits are NumPy's."""

import subprocess
import sys

import numpy as np
import torch

from hueprobe.activations.rounding import as_float16


def test_every_float16_and_every_midpoint_between_two():
    assert torch  # so that as_float16 takes torch's way
    bits = np.arange(0x7C00, dtype=np.uint16)  # zero to the largest; infinity is no unit vector's
    exact = bits.view(np.float16).astype(np.float32)
    between = (exact[:-1] + exact[1:]) / 2
    values = np.concatenate([exact, between, np.nextafter(between, 0), np.nextafter(between, 1e9)])
    values = np.concatenate([values, -values]).astype(np.float32)
    np.testing.assert_array_equal(
        as_float16(values).view(np.uint16), values.astype(np.float16).view(np.uint16)
    )


def test_any_layout_becomes_contiguous():
    values = np.random.default_rng(0).random((3, 4, 5), np.float32).transpose(2, 0, 1)
    assert as_float16(values).flags.c_contiguous
    np.testing.assert_array_equal(as_float16(values), values.astype(np.float16))


def test_torch_is_not_loaded_for_it():
    code = (
        "import sys, numpy as np; from hueprobe.activations.rounding import as_float16; "
        "print(as_float16(np.ones(2, np.float32)).dtype, 'torch' in sys.modules)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.split() == ["float16", "False"]
