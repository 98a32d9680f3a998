"""How far the parts of a memory are."""

from dataclasses import dataclass
from pathlib import Path

from hueprobe.memory.ledger import read_ledger
from hueprobe.scale.folders import part_path, read_parts
from hueprobe.scale.part import Part


@dataclass(frozen=True)
class PartState:
    """How far one part of a memory is.

    Attributes
    ----------
    number : int
        Number of the part, from 1.
    path : Path
        Folder of the part, which may not exist yet.
    start, stop : int
        The part's images, as rows of the whole memory.
    n_done : int
        Number of its images in finished shards.
    complete : bool
        Whether the part is finished.
    """

    number: int
    path: Path
    start: int
    stop: int
    n_done: int
    complete: bool

    @property
    def n_images(self) -> int:
        """Number of the part's images."""
        return self.stop - self.start


def parts_of(path: str | Path) -> tuple[PartState, ...]:
    """Return how far each part of a memory is, by its ledger alone.

    Parameters
    ----------
    path : path
        Folder of the whole memory.

    Returns
    -------
    tuple of PartState
        One for each part, begun or not, in order; empty if no part was begun, or if all are joined.

    Raises
    ------
    MemoryDamagedError
        A ledger is damaged.

    See Also
    --------
    hueprobe.scale.build_part : Build a part.

    Examples
    --------
    >>> options = {"backbone": network, "layer": "3", "transform": transform, "batch_size": 4}
    >>> options["shard_images"] = 4
    >>> part = hp.scale.build_part("m", "images", "2/3", **options)
    >>> [(part.number, part.n_images, part.n_done, part.complete) for part in hp.scale.parts_of("m")]
    [(1, 4, 0, False), (2, 4, 4, True), (3, 4, 0, False)]
    """
    path = Path(path)
    whole = read_parts(path)
    if whole is None:
        return ()
    states = []
    for number in range(1, whole.n + 1):
        folder, rows = part_path(path, Part(number, whole.n)), whole.rows(number)
        ledger = read_ledger(folder)
        states.append(PartState(number, folder, rows.start, rows.stop, ledger.n_done, ledger.complete))
    return tuple(states)
