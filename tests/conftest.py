"""Fixtures every test may use: where the real pictures are, and the skip that CI turns into a failure."""

import os
from pathlib import Path

import pytest


def _missing(reason: str) -> None:
    if os.environ.get("HUEPROBE_REQUIRE_REALDATA") == "1":
        pytest.fail(f"{reason}, and HUEPROBE_REQUIRE_REALDATA=1 requires it")
    pytest.skip(reason)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with `data/images` and `data/weights`: $HUEPROBE_SHARED, default ../shared."""
    folder = Path(os.environ.get("HUEPROBE_SHARED", "../shared")).resolve()
    if not (folder / "data" / "images").is_dir():
        _missing(f"no real pictures at {folder}; set HUEPROBE_SHARED to the folder that holds data/images")
    return folder
