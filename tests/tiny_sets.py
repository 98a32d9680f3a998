"""Small manifests and images, shared by the tests of data manifests."""

from pathlib import Path

import numpy as np
from PIL import Image

from hueprobe.datasets.parsing import parse_manifest


def minimal(**more):
    """Return the least that a manifest must say, as tomllib would give it."""
    return {
        "title": "Shapes",
        "authors": ["A. Person"],
        "licence": {"name": "CC0", "access": "open"},
        "obtain": {"way": "by hand", "steps": ["draw them"]},
        "layout": {"kind": "class_folders"},
        **more,
    }


def manifest_of(name="shapes", **more):
    return parse_manifest(minimal(**more), name=name, file=f"{name}.toml", shipped=True)


def write_image(path: Path, seed=None):
    """Write a small image whose pixels depend on its path, or on `seed`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(list((seed or str(path)).encode()))
    Image.fromarray(rng.integers(0, 256, (5, 6, 3), np.uint8)).save(path, "PNG")
    return path


def rows_of(table):
    """Return {path: (class, split, group)}."""
    facts = zip(table.classes, table.splits, table.groups, strict=True)
    return dict(zip(table.paths, facts, strict=True))
