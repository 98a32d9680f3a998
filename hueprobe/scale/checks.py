"""Whether the parts of a memory are all there, complete, and of this memory."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
from msgspec import UNSET

from hueprobe.errors import MemoryFormatError
from hueprobe.images.table import ImageTable
from hueprobe.memory.contents import read_mask_list, read_source
from hueprobe.memory.ledger import Ledger, read_ledger
from hueprobe.memory.listing import same_list
from hueprobe.memory.settings import differences, read_settings
from hueprobe.memory.steps import mask_list_file, source_file
from hueprobe.scale.folders import Whole, part_path
from hueprobe.scale.part import Part
from hueprobe.scale.removing import part_folders

_NAMED = 8  # runs of parts in a message


@dataclass(frozen=True)
class FinishedPart:
    """A complete part: its folder, its ledger, and its images as rows of the whole memory."""

    folder: Path
    ledger: Ledger
    rows: range


def finished_parts(whole: Whole) -> list[FinishedPart]:
    """Return all parts of a memory, in order.

    Raises
    ------
    MemoryFormatError
        A part is missing, not complete, or of another memory, or there is one too many; the message names it.
    MemoryDamagedError
        A ledger or a list of a part is damaged.
    """
    parts, missing, half = [], [], []
    for number in range(1, whole.n + 1):
        folder, rows = part_path(whole.path, Part(number, whole.n)), whole.rows(number)
        ledger = read_ledger(folder)
        if ledger.complete:
            parts.append(FinishedPart(folder, ledger, rows))
        elif ledger.n_done:
            half.append(f"part {number} has {ledger.n_done} of {len(rows)} images")
        else:
            missing.append(number)
    _require_no_others(whole)
    if missing or half:
        said = half[:_NAMED] + ([f"{len(half) - _NAMED} more are not complete"] if len(half) > _NAMED else [])
        if missing:
            said.append(f"part{'s' if len(missing) > 1 else ''} {_in_words(missing)} not begun")
        raise MemoryFormatError(
            f"{whole.path} cannot be joined yet: of {whole.n} parts, {', '.join(said)}; run `hueprobe index` "
            f"with --part I/{whole.n} for each of these, then join"
        )
    listed = whole.listed()
    masks = None if whole.settings.labels is UNSET else _masks(whole.folder, whole.ledger)
    for number, part in enumerate(parts, start=1):
        if fault := _fault(whole, part, listed, masks):
            raise MemoryFormatError(
                f"{part.folder} is not part {number} of {whole.path}: {fault}; remove it and build it again "
                f"with --part {number}/{whole.n}"
            )
    return parts


def _require_no_others(whole: Whole) -> None:
    own = {part_path(whole.path, Part(number, whole.n)) for number in range(1, whole.n + 1)}
    if others := [folder for folder in part_folders(whole.path) if folder not in own]:
        raise MemoryFormatError(
            f"{others[0]} overlaps the {whole.n} parts of {whole.path} and is none of them; move or remove it"
        )


def _fault(whole: Whole, part: FinishedPart, listed: ImageTable, masks: pa.Table | None) -> str | None:
    """Return what shows that a complete part is not the one that belongs here, or None."""
    settings = read_settings(part.folder)
    if settings != whole.settings:
        return "; ".join(differences(whole.settings, settings)) or "other versions or weights are recorded"
    rows, size = part.rows, whole.settings.shard_images
    starts = [step.start for step in part.ledger.shards]
    if len(part.ledger.lists) > 1 or starts != list(range(0, len(rows), size)):
        return "its shards are others"
    name = source_file(0)
    own = read_source(part.folder / name, part.ledger.files[name], part.ledger.n_listed)
    if not same_list(own, listed.select(rows)):
        return f"it holds other images than rows {rows.start} to {rows.stop - 1}"
    if masks is not None:
        of_rows = masks["sha256"].slice(rows.start, len(rows))
        if _masks(part.folder, part.ledger)["sha256"].to_pylist() != of_rows.to_pylist():
            return "it has other masks"
    return None


def _masks(folder: Path, ledger: Ledger) -> pa.Table:
    name = mask_list_file(0)
    return read_mask_list(folder / name, ledger.files[name], 0, ledger.n_listed)


def _in_words(numbers: Iterable[int]) -> str:
    """Return numbers as text, runs of them shortened, and whether it is one or more.

    >>> _in_words([2, 7, 8, 9]), _in_words([3])
    ('2, 7 to 9 are', '3 is')
    """
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    texts = [f"{run[0]} to {run[-1]}" if len(run) > 1 else str(run[0]) for run in runs]
    more = [f"{len(texts) - _NAMED} more"] if len(texts) > _NAMED else []
    several = len(runs) > 1 or len(runs[0]) > 1
    return f"{', '.join(texts[:_NAMED] + more)} {'are' if several else 'is'}"
