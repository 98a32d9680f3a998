"""Synthetic match tables with known effects, shared by the tests of the observations."""

import numpy as np
import pytest

from hueprobe.grid import Grid
from hueprobe.matches import Matches

SEVEN = Grid(7, 7)


def build(
    *,
    query_image,
    query_cell,
    image,
    cell,
    image_class,
    grid=SEVEN,
    classes=None,
    query_image_class=None,
    weight=None,
    groups=None,
):
    """A match table from plain columns; queries are the memory's own images unless they have classes."""
    image_class = np.asarray(image_class, np.int64)
    if query_image_class is None:
        query_image_class = image_class
    query_image_class = np.asarray(query_image_class, np.int64)
    if classes is None:
        classes = tuple(f"c{c}" for c in range(1 + max(image_class.max(), query_image_class.max())))
    query_y, query_x = grid.cell(query_cell)
    y, x = grid.cell(cell)
    n = len(query_y)
    return Matches(
        grid=grid,
        query_grid=grid,
        classes=tuple(classes),
        query_paths=tuple(f"q{i}" for i in range(len(query_image_class))),
        query_image_class=query_image_class,
        query_image_group=tuple(groups or [None] * len(query_image_class)),
        image_paths=tuple(f"m{i}" for i in range(len(image_class))),
        image_class=image_class,
        image_group=tuple(groups or [None] * len(image_class)),
        query_image=np.asarray(query_image, np.int64),
        query_y=query_y.astype(np.int32),
        query_x=query_x.astype(np.int32),
        rank=np.ones(n, np.int32),
        image=np.asarray(image, np.int64),
        y=y.astype(np.int32),
        x=x.astype(np.int32),
        distance=np.ones(n),
        weight=np.full(n, np.exp(-1)) if weight is None else np.asarray(weight, float),
    )


def simulate(
    rng, image_class, rows=None, *, grid=SEVEN, k=2, same=0.6, shift=None, query_sd=0.5, memory_sd=0.5
):
    """Leave-one-out matches of `rows` among themselves, with effects of query image and memory image.

    A match lands on the query's cell, moved by both images' effects, by noise and, for a same-class match, by
    shift[class] (u, v). `same` is the chance that a match is to the own class. Paths differ on the two
    sides, so intervals take the roles for different images, unless query_paths is replaced by image_paths.
    """
    image_class = np.asarray(image_class)
    rows = np.arange(len(image_class)) if rows is None else rows
    rows = rows if len(rows) > 1 else rows[:0]  # an image alone matches nothing
    query_image = np.repeat(rows, grid.n_cells * k)
    query_cell = np.tile(np.repeat(np.arange(grid.n_cells), k), len(rows))
    image = np.empty(len(query_image), np.int64)
    for row in rows:
        mine = query_image == row
        own = rows[(image_class[rows] == image_class[row]) & (rows != row)]
        others = rows[image_class[rows] != image_class[row]]
        to_own = (
            rng.random(mine.sum()) < same if len(own) and len(others) else np.full(mine.sum(), len(own) > 0)
        )
        image[mine] = [rng.choice(own if flag else others) for flag in to_own]
    effect_q = rng.normal(0, query_sd, (len(image_class), 2))
    effect_m = rng.normal(0, memory_sd, (len(image_class), 2))
    moved = effect_q[query_image] + effect_m[image] + rng.normal(0, 0.7, (len(image), 2))
    if shift is not None:
        is_same = image_class[query_image] == image_class[image]
        moved += np.where(is_same[:, None], np.asarray(shift)[image_class[query_image]], 0)
    y, x = grid.cell(query_cell)
    x = np.clip(np.round(x + moved[:, 0]), 0, grid.width - 1)
    y = np.clip(np.round(y - moved[:, 1]), 0, grid.height - 1)
    return build(
        query_image=query_image,
        query_cell=query_cell,
        image=image,
        cell=grid.cell_index(y.astype(int), x.astype(int)),
        image_class=image_class,
        grid=grid,
        weight=rng.uniform(0.1, 0.4, len(image)),
    )


@pytest.fixture
def build_matches():
    return build


@pytest.fixture
def simulate_matches():
    return simulate
