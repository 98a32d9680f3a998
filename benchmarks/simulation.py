"""Match tables with known truth: images have effects of their own as queries and as memory, classes none.

Query vector (image i, cell q) matches memory vector (image j, cell m) with probability proportional to::

    pull(q, m; i, j)  *  field_i(m)  *  field_j(m)  *  affinity_ij

- *fields*: image i prefers to match about a place of its own, and image j to be matched there; places wrap
  around the grid, so that no place is preferred on average. The query's effect has a fixed size, the memory's
  is `ratio` times that. An image has the same place in both roles, as an object in an image has.
- *pull*: matches lie near the query cell, nearer for some images than for others (`near`), anywhere (`flat`),
  or nearer where the two vectors are closer (`confounded`), which same-class vectors are.
- *affinity*: some pairs of images match often, those of one class more often.

Nothing depends on the class but how often it is matched (and, if confounded, how closely), unless an effect
is planted: then a share of the same-class matches lands elsewhere.
"""

from dataclasses import dataclass

import numpy as np

from hueprobe.errors import require_choice
from hueprobe.grid import Grid
from hueprobe.matches import Matches
from hueprobe.observations.conditional.displacement import squared_distances

PULLS = ("near", "flat", "confounded")
PLANTS = ("none", "class position", "stay", "centre", "around")
QUERY_SHARE = 0.4  # of an image's matches that follow its own place
FIELD_WIDTH = 1.2  # cells
PULL_WIDTH = 2.0  # cells
CLASS_RADIUS = 2.0  # cells, from the center to a planted class position
GRID = Grid(7, 7)
OWN_CLASS = 8.0  # affinity of same-class images, times that of others


@dataclass(frozen=True)
class Design:
    """Size of a data set: classes, images of each, blocks, matches of each query vector."""

    n_classes: int = 8
    images_per_class: int = 16
    n_blocks: int = 4
    k: int = 1
    grid: Grid = GRID

    @property
    def n_images(self) -> int:
        """Images in all."""
        return self.n_classes * self.images_per_class


@dataclass(frozen=True)
class Truth:
    """What is true of a data set.

    Attributes
    ----------
    ratio : float
        Size of the memory images' effects, times that of the query images'.
    pull : str
        `near`, `flat` or `confounded`.
    planted : str
        What a share of the same-class matches does: lie at the class's own position, stay in the query cell,
        lie in the 3x3 cells of the center, or keep the query cell's distance from the center.
    share : float
        That share.
    """

    ratio: float = 1.0
    pull: str = "near"
    planted: str = "none"
    share: float = 0.0

    def __post_init__(self) -> None:
        """Refuse unknown names."""
        require_choice("pull", self.pull, PULLS)
        require_choice("planted effect", self.planted, PLANTS)


@dataclass(frozen=True)
class DataSet:
    """One simulated data set.

    Attributes
    ----------
    matches : Matches
        Leave-one-out.
    of_blocks : tuple of Matches
        Of each block of images among themselves.
    """

    matches: Matches
    of_blocks: tuple[Matches, ...]


@dataclass(frozen=True)
class _Images:
    """Traits of the images of one data set, N of them."""

    label: np.ndarray  # (N,) class
    field: np.ndarray  # (N, cells) about each image's place, mean 1
    width: np.ndarray  # (N,) of the pull, as queries
    broad: np.ndarray  # (N,) bool: pulls less, as memory
    affinity: np.ndarray  # (N, N) symmetric


def draw(design: Design, truth: Truth, *, seed: int, blocks: bool = True) -> DataSet:
    """Draw a data set; `blocks` also searches blocks against themselves."""
    rng = np.random.default_rng(seed)
    images = _images(design, rng)
    block = np.arange(design.n_images) // design.n_classes % design.n_blocks
    everything = np.arange(design.n_images)
    parts = [everything] + [np.flatnonzero(block == b) for b in range(design.n_blocks) if blocks]
    whole, *of_blocks = (_matches(design, truth, images, rows, rng) for rows in parts)
    return DataSet(whole, tuple(of_blocks))


def _images(design: Design, rng: np.random.Generator) -> _Images:
    n, grid = design.n_images, design.grid
    y, x = grid.cell(np.arange(grid.n_cells))
    place = rng.integers(0, grid.n_cells, n)
    dy, dx = abs(y - y[place][:, None]), abs(x - x[place][:, None])
    dy, dx = np.minimum(dy, grid.height - dy), np.minimum(dx, grid.width - dx)
    field = np.exp(-(dy**2 + dx**2) / (2 * FIELD_WIDTH**2))
    affinity = np.triu(rng.lognormal(0, 0.5, (n, n)), 1)
    return _Images(
        label=np.arange(n) % design.n_classes,
        field=field / field.mean(1, keepdims=True),
        width=PULL_WIDTH * rng.lognormal(0, 0.25, n),
        broad=rng.random(n) < 0.5,
        affinity=affinity + affinity.T,
    )


def _matches(
    design: Design, truth: Truth, images: _Images, rows: np.ndarray, rng: np.random.Generator
) -> Matches:
    """Matches of some images among themselves."""
    grid, n_cells, n = design.grid, design.grid.n_cells, len(rows)
    same = images.label[rows][:, None] == images.label[rows]
    memory_share = min(QUERY_SHARE * truth.ratio, 1.0)
    asks = 1 + QUERY_SHARE * (images.field[rows] - 1)
    offers = 1 + memory_share * (images.field[rows] - 1)
    # kinds of match, (close or far) x (broad or narrow memory image): affinity (n, n) and width (n,) of each
    kinds, widths = [], []
    for close in (True, False):
        own = OWN_CLASS if truth.pull != "confounded" else OWN_CLASS * (2.0 if close else 0.5)
        affinity = images.affinity[np.ix_(rows, rows)] * np.where(same, own, 1.0)
        for broad in (True, False):
            kinds.append(affinity * (images.broad[rows] == broad))
            width = images.width[rows] * np.exp(0.25 * truth.ratio * (1 if broad else -1))
            widths.append(width * ((0.6 if close else 1.6) if truth.pull == "confounded" else 1.0))
    kind = np.stack(kinds, 1)  # (n, 4, n)
    width = np.stack(widths, 1)  # (n, 4)
    offered = kind @ offers  # (n, 4, cells)
    squared = squared_distances(grid)
    pull = np.ones((n, 4, n_cells, n_cells))
    if truth.pull != "flat":
        pull = np.exp(-squared / (2 * width[:, :, None, None] ** 2))
    chance = pull * (offered * asks[:, None])[:, :, None]  # (n, 4, q, m)
    chance = chance.transpose(0, 2, 1, 3).reshape(n, n_cells, 4 * n_cells)

    query = np.repeat(np.arange(n), n_cells * design.k)
    query_cell = np.tile(np.repeat(np.arange(n_cells), design.k), n)
    slot = _pick(chance, query, query_cell, rng)
    of_kind, cell = np.divmod(slot, n_cells)
    image = _pick_rows(kind[query, of_kind] * offers.T[cell], rng)
    is_same = same[query, image]
    cell = _plant(design, truth, cell, query_cell, images.label[rows][query], is_same, rng)
    names = tuple(f"image {i}" for i in range(design.n_images))
    y, x = grid.cell(cell)
    query_y, query_x = grid.cell(query_cell)
    distance = np.where(of_kind < 2, rng.uniform(0.3, 0.5, len(cell)), rng.uniform(0.5, 0.9, len(cell)))
    none: tuple[None, ...] = (None,) * design.n_images
    return Matches(
        grid=grid, query_grid=grid, classes=tuple(f"class {c}" for c in range(design.n_classes)),
        query_paths=names, query_image_class=images.label, query_image_group=none,
        image_paths=names, image_class=images.label, image_group=none,
        query_image=rows[query], query_y=query_y.astype(np.int32), query_x=query_x.astype(np.int32),
        rank=np.tile(np.arange(1, design.k + 1, dtype=np.int32), n * n_cells),
        image=rows[image], y=y.astype(np.int32), x=x.astype(np.int32),
        distance=distance, weight=np.full(len(cell), np.exp(-1.0)),
    )  # fmt: skip


def _pick(
    chance: np.ndarray, query: np.ndarray, query_cell: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Draw from chance[query, query_cell] for each match."""
    cumulative = chance.cumsum(2)
    cumulative /= cumulative[:, :, -1:]
    drawn = rng.random(len(query))
    return (cumulative[query, query_cell] <= drawn[:, None]).sum(1)


def _pick_rows(chance: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw a column of each row, (n,)."""
    cumulative = chance.cumsum(1)
    return (cumulative <= rng.random(len(chance))[:, None] * cumulative[:, -1:]).sum(1)


def _plant(
    design: Design,
    truth: Truth,
    cell: np.ndarray,
    query_cell: np.ndarray,
    label: np.ndarray,
    is_same: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """Move a share of the same-class matches to where the planted effect puts them."""
    if truth.planted == "none":
        return cell
    grid = design.grid
    moved = np.flatnonzero(is_same & (rng.random(len(cell)) < truth.share))
    cell = cell.copy()
    if truth.planted == "stay":
        cell[moved] = query_cell[moved]
        return cell
    if truth.planted == "class position":
        angle = 2 * np.pi * label[moved] / design.n_classes
        x = (grid.width - 1) / 2 + CLASS_RADIUS * np.cos(angle)
        y = (grid.height - 1) / 2 - CLASS_RADIUS * np.sin(angle)
        # at random to the cells around, so that the mean is exact
        y, x = (np.floor(part + rng.random(len(part))).astype(int) for part in (y, x))
        cell[moved] = grid.cell_index(y, x)
        return cell
    if truth.planted == "centre":
        middle = (grid.height - 1) // 2, (grid.width - 1) // 2
        cell[moved] = grid.cell_index(*(m + rng.integers(-1, 2, len(moved)) for m in middle))
        return cell
    radius = np.round(grid.radius(*grid.cell(np.arange(grid.n_cells))), 9)
    around = (radius[:, None] == radius).astype(float)
    cell[moved] = _pick_rows(around[query_cell[moved]], rng)
    return cell
