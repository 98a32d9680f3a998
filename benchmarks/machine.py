"""What a benchmark ran on, for its results file."""

import importlib.metadata
import os
import platform
from pathlib import Path
from typing import Any

from hueprobe.memory.settings import library_versions
from hueprobe.search.approximate import n_threads

# What decides which products are fast.
_FLAGS = ("avx2", "avx512f", "avx_vnni", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_bf16", "amx_int8")


def machine() -> dict[str, Any]:
    """Return processor, the flags that matter to matrix products, cores, and how busy it was at the start."""
    text = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    fields = dict(line.split(":", 1) for line in text.split("\n\n")[0].splitlines() if ":" in line)
    fields = {name.strip(): value.strip() for name, value in fields.items()}
    return {
        "processor": fields.get("model name", platform.processor()),
        "flags": [flag for flag in _FLAGS if flag in fields.get("flags", "").split()],
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
