"""A small exploration and its server, for tests: 8 images in 2 classes, a network that takes milliseconds."""

import contextlib
import time
from pathlib import Path

import numpy as np
from PIL import Image
from starlette.testclient import TestClient

from hueprobe import KernelDensityClassifier, images
from hueprobe.explorer.exploration import Exploration, Explored
from hueprobe.explorer.server import create_app
from hueprobe.explorer.session import ServerSession
from hueprobe.memory import build_memory

TOKEN, HOST = "the-token", "127.0.0.1:8765"
ORIGIN = {"origin": f"http://{HOST}"}
K = 3


def draw(folder: Path, n_each: int, seed: int) -> Path:
    """Draw images of noise in two class folders."""
    rng = np.random.default_rng(seed)
    for name in ("cat", "dog"):
        (folder / name).mkdir(parents=True)
        for i in range(n_each):
            pixels = rng.integers(0, 256, (30, 40, 3), np.uint8)
            pixels[..., 0] //= 1 + 3 * (name == "dog")
            Image.fromarray(pixels).save(folder / name / f"{i}.png")
    return folder


def made_memory(folder: Path):
    """Build a memory of 8 images in `folder`; returns the memory."""
    source = draw(folder / "images", 4, seed=0)
    return build_memory(folder / "a.memory", source, backbone="tests.tiny_network:tiny", layer="3")


def exploration(*memories, queries=None, searcher="exact"):
    """Return the exploration of memories, with query images from a folder or leave-one-out."""
    return Exploration(
        tuple(
            Explored(KernelDensityClassifier(memory, k=K, searcher=searcher), str(memory.path), memory.images)
            for memory in memories
        ),
        None if queries is None else images.from_folder(queries),
        None if queries is None else str(queries),
    )


@contextlib.contextmanager
def served(explored, cache, *, reports=None):
    """Yield a client of a server and its session; a reported bug fails the test unless `reports` gets it."""
    found = [] if reports is None else reports
    with ServerSession(explored, cache_folder=cache) as session:
        app = create_app(session, token=TOKEN, report=found.append)
        with TestClient(app, base_url=f"http://{HOST}", follow_redirects=False) as client:
            yield client, session
    assert reports is not None or found == []


def wait_for_background(session):
    """Wait until every query image was asked."""
    while any(
        overview.predictions().done < len(session.exploration.askable) for overview in session.overviews
    ):
        assert session.failure is None
        time.sleep(0.01)
