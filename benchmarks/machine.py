"""What a benchmark ran on, for its results file."""

import importlib.metadata
import os
import platform
import re
import sys
from pathlib import Path
from typing import Any

from hueprobe.memory.settings import library_versions
from hueprobe.search.approximate import n_threads

# What decides which products are fast.
_FLAGS = ("avx2", "avx512f", "avx_vnni", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_bf16", "amx_int8")
# What keeps hueprobe, torch, MKL, oneDNN, FAISS and OpenBLAS from using more than AVX2.
_AVX2_ALONE = {
    "HUEPROBE_INSTRUCTIONS": "avx2",
    "ATEN_CPU_CAPABILITY": "avx2",
    "MKL_ENABLE_INSTRUCTIONS": "AVX2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "FAISS_OPT_LEVEL": "AVX2",
    "OPENBLAS_CORETYPE": "Zen",
}


def restrict_instructions() -> None:
    """Start this process again with its arguments, restricted to AVX2, unless it is already."""
    if restricted():
        return
    os.environ.update(_AVX2_ALONE)
    os.execv(sys.executable, [*sys.orig_argv])


def restricted() -> bool:
    """Return whether all libraries are restricted to AVX2."""
    return all(os.environ.get(name) == value for name, value in _AVX2_ALONE.items())


def processor_name() -> str:
    """Return the processor in letters that a file's name may have, and its widest vectors."""
    found = machine()
    widest = next(
        (flag for flag in ("amx_int8", "avx512_vnni", "avx512f", "avx2") if flag in found["flags"]), ""
    )
    ending = " restricted to avx2" if restricted() else ""
    return re.sub("[^a-z0-9]+", "-", f"{found['processor']} {widest}{ending}".lower()).strip("-")


def machine() -> dict[str, Any]:
    """Return processor, the flags that matter to matrix products, cores, and how busy it was at the start."""
    text = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    fields = dict(line.split(":", 1) for line in text.split("\n\n")[0].splitlines() if ":" in line)
    fields = {name.strip(): value.strip() for name, value in fields.items()}
    return {
        "processor": fields.get("model name", platform.processor()),
        "flags": [flag for flag in _FLAGS if flag in fields.get("flags", "").split()],
        "restricted_to": "avx2" if restricted() else None,
        "cores": os.cpu_count(),
        "threads": n_threads(),
        "load_average": round(os.getloadavg()[0], 2),
    }


def versions() -> dict[str, str]:
    """Return the versions of hueprobe, of what it computes with, and of what it is compared with."""
    return {
        **library_versions(),
        **{name: importlib.metadata.version(name) for name in ("annoy", "faiss-cpu")},
    }
