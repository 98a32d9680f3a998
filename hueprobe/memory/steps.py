"""The valid steps of the ledger, and the names of the files that each adds."""

from collections.abc import Iterable, Mapping
from typing import Any

from hueprobe.memory.files import FileEntry
from hueprobe.memory.records import Count, Record, RecordError, as_record
from hueprobe.memory.settings import FILE_NAME as SETTINGS
from hueprobe.memory.vectors import SPARSE16


class Step(Record, frozen=True, tag_field="step"):
    """A finished step with the files that it added: name relative to the memory -> hash and size."""

    files: Mapping[str, FileEntry]


class ListStep(Step, frozen=True):
    """Images [start, stop) were listed."""

    start: Count
    stop: Count


class SourceStep(ListStep, frozen=True, tag="source"):
    """The settings and the first list of images."""


class AppendStep(ListStep, frozen=True, tag="append"):
    """A further list of images."""


class ShardStep(Step, frozen=True, tag="shard"):
    """Images [start, stop) are stored in the shard `number`; `nonnegative`: all values are >= 0."""

    number: Count
    start: Count
    stop: Count
    nonnegative: bool


class CompleteStep(Step, frozen=True, tag="complete"):
    """All listed images are stored, `images` in number; `files` are all files so far."""

    images: Count


_KINDS: dict[str, type[Step]] = {
    "source": SourceStep, "append": AppendStep, "shard": ShardStep, "complete": CompleteStep,
}  # fmt: skip


def kind_of(step: Step) -> str:
    """Return the name of a step in the ledger: source, append, shard or complete."""
    return str(step.__struct_config__.tag)


def as_step(document: Mapping[str, Any]) -> Step:
    """Return the step of a ledger's line, given without its hashes.

    Raises
    ------
    RecordError
        The line is not a step, or has wrong fields; the message follows "the line is".
    """
    kind = document.get("step")
    if not isinstance(kind, str) or kind not in _KINDS:
        raise RecordError("a step of an unknown kind")
    try:
        return as_record(document, _KINDS[kind])
    except RecordError as error:
        raise RecordError(f"a step {kind!r} that {error}") from None


def shard_files(number: int, dtype: str) -> tuple[str, str, str]:
    """Return the names of a shard's vectors, energy and images, relative to a memory of this dtype."""
    return vectors_file(number, dtype), energy_file(number), images_file(number)


def vectors_file(number: int, dtype: str) -> str:
    """Return the name of a shard's vectors, relative to a memory of this dtype."""
    return f"shards/{number:06d}.vectors.{'sparse' if dtype == SPARSE16 else 'npy'}"


def energy_file(number: int) -> str:
    """Return the name of a shard's energies, relative to the memory."""
    return f"shards/{number:06d}.energy.npy"


def images_file(number: int) -> str:
    """Return the name of what reading a shard's images found, relative to the memory."""
    return f"shards/{number:06d}.images.parquet"


def vectors_are_sparse(step: ShardStep) -> bool:
    """Return whether a shard's vectors are in a `sparse16` file."""
    return vectors_file(step.number, SPARSE16) in step.files


def label_file(number: int) -> str:
    """Return the name of a shard's label counts, relative to the memory; only with masks."""
    return f"shards/{number:06d}.labels.npy"


def mask_list_file(part: int) -> str:
    """Return the file name of the masks of a list of images, as `source_file`; only with masks."""
    return "masks.parquet" if part == 0 else f"masks.{part:06d}.parquet"


def source_file(part: int) -> str:
    """Return the file name of a list of images: of the first list, or of the part-th `append`."""
    return "source.parquet" if part == 0 else f"source.{part:06d}.parquet"


def first_problem(steps: Iterable[Step]) -> tuple[int, str] | None:
    """Return line and problem of the first step that does not follow from the earlier ones.

    Whoever changes a ledger can also recompute its hashes. So each step must be one that a writer could have
    written: images in order without a gap, and files of the expected names, none of them outside the memory.
    """
    listed = done = n_shards = n_lists = 0
    with_masks = False  # in all steps or in none
    dtype = ""  # of all shards; its vectors are sparse or not
    files: dict[str, FileEntry] = {}
    before: Step | None = None
    for line, step in enumerate(steps, start=1):
        match step:
            case SourceStep() | AppendStep():
                is_next = before is None if isinstance(step, SourceStep) else isinstance(before, CompleteStep)
                fits = is_next and step.start == listed < step.stop
                names = {source_file(n_lists), *({SETTINGS} if isinstance(step, SourceStep) else ())}
                if isinstance(step, SourceStep):
                    with_masks = mask_list_file(0) in step.files
                names |= {mask_list_file(n_lists)} if with_masks else set()
                listed, n_lists = step.stop, n_lists + 1
            case ShardStep():
                fits = step.number == n_shards and step.start == done < step.stop <= listed
                dtype = dtype or (SPARSE16 if vectors_are_sparse(step) else "float16")
                names = {*shard_files(n_shards, dtype), *([label_file(n_shards)] if with_masks else [])}
                done, n_shards = step.stop, n_shards + 1
            case CompleteStep():
                fits = step.images == done == listed > 0 and not isinstance(before, CompleteStep)
                fits = fits and step.files == files
                names = set(files)
            case _:
                raise AssertionError(f"a step of the kind {type(step).__name__}")
        if not fits:
            return line, f"a step {kind_of(step)!r} that does not follow from the earlier steps"
        if set(step.files) != names:
            return line, f"a step {kind_of(step)!r} with files that are not its own"
        files.update(step.files)
        before = step
    return None
