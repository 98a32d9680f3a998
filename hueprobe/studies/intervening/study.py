"""`hueprobe intervene`: flips and motions of a memory's images, extracted, searched and measured; resumable.

Each flip (and dose) is one pass: its images are extracted into a memory of their own, searched once, and the
positions of their same-class matches are kept in one small file. A pass that was finished is not made again.
"""

import contextlib
import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hueprobe.archives import read_archive, write_archive
from hueprobe.arguments import takes
from hueprobe.errors import InputError
from hueprobe.files import storing
from hueprobe.images.resolve import resolve_images
from hueprobe.images.table import ImageTable
from hueprobe.memory.recorded import load_recorded_backbone
from hueprobe.memory.store import Memory
from hueprobe.memory.writer import remove_memory
from hueprobe.observations.interventions.doses import Planted, class_displacements
from hueprobe.observations.interventions.image_positions import ESTIMATORS, ImagePositions
from hueprobe.observations.interventions.own_block import matched_positions
from hueprobe.observations.interventions.result import Interventions, measure
from hueprobe.observations.locations.blocks import block_labels, default_blocks
from hueprobe.observations.units.radial import require_grid
from hueprobe.progress import named_pass, progress_bar
from hueprobe.stats.intervals import unit_codes
from hueprobe.studies.intervening.moved_memories import Move, moved_memory
from hueprobe.studies.intervening.near import Sides, near_batches
from hueprobe.studies.intervening.settings import InterveneSettings

if TYPE_CHECKING:
    from hueprobe.activations.backbones import Backbone

_FORMAT = 1
_WORK = "work"  # folder of finished passes, and of memories of flipped and moved images


@takes(Memory)
def intervene(
    memory: Memory,
    folder: str | Path | None = None,
    *,
    images: Any = None,
    settings: InterveneSettings | None = None,
    images_root: str | Path | None = None,
    backbone: Any = None,
    transform: Any = None,
    progress: bool = False,
) -> Interventions:
    """Flip all images alike, and split class positions into what follows the content and what stays.

    The images of the memory (and the queries) are extracted again under each flip, and blocks of images are
    searched among themselves. A class position that flips with the images is locked to their content; one
    that stays is locked to the network. With `settings.shift`, the images of each class are also moved by a
    known distance.

    Parameters
    ----------
    memory : Memory
        A memory of descriptor `pixel` made from image files. It is not changed.
    folder : path, optional
        Folder in which finished passes are kept, so that the same call resumes; by default a temporary one.
    images : path, ImageTable or list of files, optional
        Query images, with classes. By default the memory's own images are queries, in leave-one-out.
    settings : InterveneSettings, optional
        Flips, doses, deals of blocks, K; `InterveneSettings()` by default.
    images_root : path, optional
        Present location of the memory's images.
    backbone : nn.Module, optional
        The live module, if the memory was built with one. By default the recorded network is loaded.
    transform : callable, optional
        The transform, if the memory was built with a custom one. By default the recorded one is used.
    progress : bool, default=False
        Whether to show progress.

    Returns
    -------
    Interventions

    Raises
    ------
    InputError
        The memory holds pooled descriptors, was not made from image files, or has no classes; or its images
        have changed.
    BackboneError, WeightsError
        The network of the memory cannot be loaded.

    See Also
    --------
    hueprobe.studies.InterveneSettings : What is done, and how it is measured.
    hueprobe.observations.interventions.measure : Measure positions found elsewhere.
    hueprobe.plots.figures : Figures of the result.

    Examples
    --------
    >>> settings = hp.studies.InterveneSettings(flips="e,h,r", n_deals=2, k=3)
    >>> found = hp.intervene(memory, settings=settings, backbone=network, transform=transform)
    >>> found.conclusion.verdict  # 12 images
    'too little data'
    """
    settings = settings or InterveneSettings()
    require_grid(memory.grid, "interventions")
    if not all(memory.images.roots):
        raise InputError(
            f"an intervention needs the image files, but {memory.path} was not made from files; build it "
            "from a folder or a table of images"
        )
    if not memory.classes:
        raise InputError(f"the images of {memory.path} have no classes; class positions need them")
    loaded = load_recorded_backbone(
        memory.settings, backbone=backbone, transform=transform, weights=settings.weights
    )
    table = memory.images if images_root is None else memory.images.relocated(images_root)
    with _kept_in(folder) as place:
        study = _Study(
            memory, table, None if images is None else resolve_images(images), loaded, settings,
            place / _WORK, progress,
        )  # fmt: skip
        return study.run()


@contextmanager
def _kept_in(folder: str | Path | None) -> Iterator[Path]:
    if folder is not None:
        yield Path(folder)
        return
    with tempfile.TemporaryDirectory(prefix="hueprobe-") as temporary:
        yield Path(temporary)


@dataclass(frozen=True)
class _Study:
    """The passes of one intervention."""

    memory: Memory
    table: ImageTable
    images: ImageTable | None
    backbone: "Backbone"
    settings: InterveneSettings
    folder: Path
    progress: bool

    def run(self) -> Interventions:
        """Make or read every pass, and measure."""
        settings, memory = self.settings, self.memory
        cell = self._cell()
        with storing(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        queries = memory
        if self.images is not None:
            with named_pass("queries"):
                queries = self._extracted(Move("e", 0, {}), self.images, "queries")
        dealt = deal_sides(memory, queries, n_deals=settings.n_deals, seed=settings.seed)
        moves = [(flip, dose) for dose in (0.0, *settings.doses) for flip in settings.flips_at(dose)]
        stored = {key: self._stored(self._move(*key), dealt) for key in moves}
        n_done = sum(position is not None for position in stored.values())
        found: dict[float, list[np.ndarray]] = {}
        with progress_bar(
            len(moves), label="flips", unit="flips", done=n_done, enabled=self.progress
        ) as advance:
            for key, position in stored.items():
                move = self._move(*key)
                if position is None:
                    with named_pass(move.name):
                        position = self._made(move, dealt)
                    advance(1)
                found.setdefault(move.dose, []).append(position)
        label, units = query_classes(memory, queries), unit_codes(queries.images.groups, queries.n_images)
        base, *moved = (
            ImagePositions(
                memory.classes, settings.flips_at(dose), tuple(ESTIMATORS), label, units,
                dealt.block_of_query, np.stack(passes, axis=1), cell,
            )
            for dose, passes in found.items()
        )  # fmt: skip
        planted = [
            Planted(dose, self._displacements(dose) / cell[::-1], positions)
            for dose, positions in zip(settings.doses, moved, strict=True)
        ]
        return measure(
            base, planted=planted, margin=settings.margin, seed=settings.seed,
            n_permutations=settings.n_permutations, memory=memory.path.name,
            network=str(memory.settings.backbone),
            definitions={**settings.definitions, "queries": "own images" if self.images is None else "given"},
        )  # fmt: skip

    def _cell(self) -> tuple[float, float]:
        """Return height and width of a cell in pixels that the network sees; refuse too long a shift."""
        from hueprobe.images.loading import first_image

        _, height, width = first_image(self.table, self.backbone.transform).tensor.shape
        if self.settings.shift >= min(height, width):
            raise InputError(
                f"shift is {self.settings.shift} pixels, and the network sees {width}x{height}; move images "
                f"by less than {min(height, width)}, such as {width // self.memory.grid.width}, one cell"
            )
        return height / self.memory.grid.height, width / self.memory.grid.width

    def _displacements(self, dose: float) -> np.ndarray:
        return class_displacements(len(self.memory.classes), dose)

    def _move(self, flip: str, dose: float) -> Move:
        away = [(right, up) for right, up in self._displacements(dose).tolist()]
        return Move(flip, dose, dict(zip(self.memory.classes, away, strict=True)))

    def _stored(self, move: Move, dealt: Sides) -> np.ndarray | None:
        """Return the positions under a motion that were found before, if they were."""
        path = self.folder / f"{move.name}.npz"
        if path.is_file():
            with contextlib.suppress(InputError):  # a damaged or older file is made again
                header, arrays = read_archive(path, "positions")
                if header == self._header(move, dealt):
                    self._tidy(move)  # if it was stopped before
                    return arrays.get("position")
        return None

    def _made(self, move: Move, dealt: Sides) -> np.ndarray:
        """Extract, search and return positions (n_deals, n_estimators, n, 2) under a motion."""
        sides = dealt
        if move.name != "e":
            moved = self._extracted(move, self.table, "")
            self._require_unchanged(moved, self.memory)
            queries = moved
            if self.images is not None:
                queries = self._extracted(move, self.images, "queries")
                self._require_unchanged(queries, dealt.queries)
            sides = replace(dealt, memory=moved, queries=queries)
        position = positions_of(sides, settings=self.settings, progress=self.progress)
        path = self.folder / f"{move.name}.npz"
        write_archive(path, self._header(move, dealt), {"position": position})
        self._tidy(move)
        return position

    def _tidy(self, move: Move) -> None:
        """Remove the memories of a finished pass, unless they are kept."""
        if self.settings.keep or move.name == "e":  # queries as they are serve all passes
            return
        for path in (self._path(move, ""), self._path(move, "queries")):
            if path.is_dir():
                remove_memory(path)

    def _header(self, move: Move, dealt: Sides) -> dict[str, Any]:
        """Return what a pass depends on."""
        digest = hashlib.sha256()
        for array in (dealt.block_of_image, dealt.block_of_query, self._displacements(move.dose)):
            digest.update(np.ascontiguousarray(array).tobytes())
        return {
            "format": _FORMAT, "move": move.words, "k": self.settings.k, "exclude": self.settings.exclude,
            "memory": dealt.memory.ledger.tip, "queries": dealt.queries.ledger.tip,
            "blocks": digest.hexdigest(), "estimators": list(ESTIMATORS),
        }  # fmt: skip

    def _extracted(self, move: Move, table: ImageTable, role: str) -> Memory:
        return moved_memory(
            self._path(move, role), self.memory, table, move, self.backbone,
            device=self.settings.device, workers=self.settings.workers, progress=self.progress,
        )  # fmt: skip

    def _path(self, move: Move, role: str) -> Path:
        return self.folder / f"{'-'.join(part for part in (role, move.name) if part)}.memory"

    @staticmethod
    def _require_unchanged(moved: Memory, before: Memory) -> None:
        if moved.sha256 != before.sha256:
            changed = [
                path
                for path, new, old in zip(moved.images.paths, moved.sha256, before.sha256, strict=True)
                if new != old
            ]
            raise InputError(
                f"{len(changed)} images changed since {before.path} was built, the first {changed[0]!r}; "
                "restore them, or build the memory again"
            )


def positions_of(sides: Sides, *, settings: InterveneSettings, progress: bool = False) -> np.ndarray:
    """Return the positions of every query image's same-class matches, by deal and estimator.

    Parameters
    ----------
    sides : Sides
        What is searched.
    settings : InterveneSettings
        K, exclusion, device.
    progress : bool, default=False
        Whether to show progress.

    Returns
    -------
    ndarray of float32, shape (n_deals, n_estimators, n_queries, 2)
    """
    n_deals, n = sides.block_of_query.shape
    label = query_classes(sides.memory, sides.queries)
    weights = {"energy": energy_shares(sides.memory), "plain": None}
    position = np.full((n_deals, len(ESTIMATORS), n, 2), np.nan, np.float32)
    for batch in near_batches(
        sides, k=settings.k, exclude=settings.exclude, device=settings.device, progress=progress
    ):
        image = np.repeat(np.arange(len(batch.rows)), sides.memory.grid.n_cells)
        for deal in range(n_deals):
            for number, name in enumerate(ESTIMATORS):
                position[deal, number, batch.rows] = matched_positions(
                    batch.in_block[deal], image, label[batch.rows], sides.memory.image_class,
                    sides.memory.grid, weights[name],
                )  # fmt: skip
    return position


def energy_shares(memory: Memory) -> np.ndarray:
    """Return the energy of each memory vector over the mean of its image, shape (n_slots,)."""
    energy = memory.energy().reshape(memory.n_images, -1).astype(float)
    mean = energy.mean(1, keepdims=True)
    shares: np.ndarray = np.divide(energy, mean, out=np.zeros_like(energy), where=mean > 0)
    return shares.ravel()


def query_classes(memory: Memory, queries: Memory) -> np.ndarray:
    """Return the class of each query image by the ids of a memory, -1 for classes that it does not have."""
    ids = {name: number for number, name in enumerate(memory.classes)}
    names = [
        queries.images.classes[row] if queries.readable[row] else None for row in range(queries.n_images)
    ]
    return np.array([ids.get(name or "", -1) for name in names], np.int64)


def deal_sides(memory: Memory, queries: Memory, *, n_deals: int, seed: int) -> Sides:
    """Deal the images of both sides into blocks, several times; groups stay whole, across sides too.

    With seed 0, the first deal is that of the blocked replicate test of `hueprobe observe`.

    Parameters
    ----------
    memory, queries : Memory
        The memory, and that of the query images; the same object in leave-one-out.
    n_deals : int
        Number of deals.
    seed : int
        Seed of the deals.
    """
    both = [memory] if memory is queries else [memory, queries]
    labels = [query_classes(memory, one) for one in both]
    n_classes = len(memory.classes)
    n_blocks = default_blocks(len(np.unique(labels[0][labels[0] >= 0])))
    # an image of a query and one of the memory are of different kinds, so that both are spread evenly
    kinds = np.concatenate([np.where(own < 0, -1, own + side * n_classes) for side, own in enumerate(labels)])
    keys = [sha or path for one in both for sha, path in zip(one.sha256, one.images.paths, strict=True)]
    groups = [group for one in both for group in one.images.groups]
    blocks = []
    for number in range(n_deals):
        plain = number == 0 and seed == 0
        dealt_keys = keys if plain else [f"{seed} {number} {key}" for key in keys]
        blocks.append(block_labels(dealt_keys, kinds, n_blocks=n_blocks, groups=groups))
    block = np.array(blocks, np.int64)
    return Sides(memory, queries, block[:, : memory.n_images], block[:, block.shape[1] - queries.n_images :])
