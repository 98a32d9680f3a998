"""A plan before the work: bytes on disk, RAM and hours of each part, and what search will cost."""

import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from msgspec import UNSET

from hueprobe.arguments import as_count
from hueprobe.errors import InputError
from hueprobe.json_documents import plain
from hueprobe.memory.build import layer_path
from hueprobe.memory.planned_build import BuildOptions, plan_build
from hueprobe.memory.settings import MemorySettings
from hueprobe.memory.store import Memory
from hueprobe.scale.folders import share_of
from hueprobe.scale.part import Part
from hueprobe.scale.search_costs import SearchCosts, measure_search
from hueprobe.scale.trial import ExtractionTrial, try_extraction
from hueprobe.search.spec import parse_spec

if TYPE_CHECKING:
    from torch import nn

    from hueprobe.activations.backbones import Backbone

TRIAL_SECONDS = 20.0
_HOUR = 3600
_FLOATS = {"float16": 2, "float32": 4}


@dataclass(frozen=True)
class PlannedMemory:
    """Size of one layer's memory and of its largest part, and what search in it costs.

    Attributes
    ----------
    settings : MemorySettings
        Settings that a build would write.
    n_images, n_vectors, n_bytes : int
        Number of images and of vectors, and size of all shards in bytes without the small tables of images.
    part_images, part_bytes : int
        The same of the largest part.
    search : SearchCosts
        What searchers cost in the whole memory.
    """

    settings: MemorySettings
    n_images: int
    n_vectors: int
    n_bytes: int
    part_images: int
    part_bytes: int
    search: SearchCosts


@dataclass(frozen=True)
class WorkPlan:
    """Result of `plan_work`: what a build in parts will take, from a trial on this machine.

    Attributes
    ----------
    n_parts : int
        Number of parts.
    trial : ExtractionTrial
        What extracting some of the images took.
    memories : tuple of PlannedMemory
        The memory of each layer.
    """

    n_parts: int
    trial: ExtractionTrial
    memories: tuple[PlannedMemory, ...]

    @property
    def hours(self) -> float:
        """Hours that one process like that of the trial takes for all images."""
        return self.memories[0].n_images / self.trial.images_per_second / _HOUR

    @property
    def hours_per_part(self) -> float:
        """Hours that it takes for the largest part."""
        n_images = max(memory.part_images for memory in self.memories)
        return n_images / self.trial.images_per_second / _HOUR

    def document(self) -> dict[str, Any]:
        """Return the plan as plain values, for JSON; `docs/reference/schemas/plan.json` describes them.

        Returns
        -------
        dict

        Examples
        --------
        >>> plan = hp.scale.plan_work("images", 1, backbone=network, layer="3", transform=transform)
        >>> sorted(plan.document())
        ['hours', 'hours_per_part', 'images', 'memories', 'parts', 'trial']
        """
        trial = {**asdict(self.trial), "images_per_second": self.trial.images_per_second}
        trial["images"] = trial.pop("n_images")
        return {
            "images": self.memories[0].n_images,
            "parts": self.n_parts,
            "hours": self.hours,
            "hours_per_part": self.hours_per_part,
            "trial": trial,
            "memories": [_document(memory) for memory in self.memories],
        }


def _document(memory: PlannedMemory) -> dict[str, Any]:
    settings, search = memory.settings, memory.search
    return {
        **{
            name: getattr(settings, name)
            for name in ("backbone", "layer", "descriptor", "dtype", "channels", "batch_size", "shard_images")
        },
        "grid": list(settings.grid),
        "vectors": memory.n_vectors,
        "bytes": memory.n_bytes,
        "part_images": memory.part_images,
        "part_bytes": memory.part_bytes,
        "search": {
            "sample_vectors": list(search.sample_vectors),
            "queries": search.n_queries,
            "costs": [plain(asdict(cost)) for cost in search.costs],
            "failed": [{"spec": spec, "reason": reason} for spec, reason in search.failed],
        },
    }


def plan_work(
    images: Any,
    n_parts: int = 1,
    *,
    backbone: "str | nn.Module | Backbone | Sequence[Backbone]",
    layer: str | None = None,
    specs: Sequence[str] | None = None,
    seconds: float = TRIAL_SECONDS,
    progress: bool = False,
    **options: Unpack[BuildOptions],
) -> WorkPlan:
    """Measure on this machine what a build in parts, and search afterwards, will take.

    Images from all over the list are extracted for some seconds, with their files read, the network run and
    the memory written to a temporary folder ($TMPDIR). Hours follow from the images per second; RAM does not
    depend on the number of images of a part. Then searchers are timed on two samples of these vectors, of at
    most 10,240 and half as many. Times, build times and sizes are extrapolated to the whole memory by the
    straight line through both. So these are estimates: disks and caches may be slower with all images; exact
    search in a memory larger than its memory budget also reads its stored codes for each batch of queries;
    and an index may need other settings at that size.

    Parameters
    ----------
    images : path, ImageTable, torch Dataset or list of files
        All images; see `hueprobe.build_memory`.
    n_parts : int, default=1
        Number of parts.
    backbone : str, nn.Module, Backbone or list of Backbone
        The network; see `hueprobe.build_memory`. For several layers, a result of `load_backbones`.
    layer : str, optional
        Dotted name of the module whose output is extracted. By default the backbone's bottleneck.
    specs : sequence of str, optional
        SPECs of searchers to time besides exact search. By default Annoy and a FAISS index with inverted
        lists.
    seconds : float, default=20
        About how long images are extracted; at most 1 GiB of vectors.
    progress : bool, default=False
        Whether to show progress.
    **options
        Other arguments of `hueprobe.build_memory`.

    Returns
    -------
    WorkPlan

    Raises
    ------
    InputError
        There are more parts than shards, or `seconds` is not positive; or see `hueprobe.build_memory`.
    SearcherError
        A SPEC is invalid.
    NumericsError, ImageError, ShapeError, LayerError
        See `hueprobe.build_memory`.

    See Also
    --------
    hueprobe.memory.plan_memory : Only the size of a memory, without a trial.
    hueprobe.scale.build_part : Build a part.

    Examples
    --------
    >>> plan = hp.scale.plan_work("images", 1, backbone=network, layer="3", transform=transform, seconds=1)
    >>> plan.memories[0].n_vectors, plan.memories[0].n_bytes, plan.trial.n_images
    (588, 21168, 12)
    >>> [cost.spec for cost in plan.memories[0].search.costs]
    ['exact', 'annoy:trees=10', 'faiss:IVF4,SQ8;nprobe=1']
    """
    from hueprobe.activations.backbones import Backbone

    n_parts = as_count("n_parts", n_parts)
    if not seconds > 0:
        raise InputError(f"seconds must be above 0, got {seconds}; 20 are the default")
    for spec in specs or ():
        parse_spec(spec)
    named = isinstance(backbone, str) or not isinstance(backbone, Backbone | Sequence)
    with tempfile.TemporaryDirectory(prefix="hueprobe-plan-") as name:
        folder = Path(name)
        planned = plan_build(
            lambda own: layer_path(folder / "planned", own or ""), images, backbone=backbone,
            layers=[layer] if named else (), progress=progress, **options,
        )  # fmt: skip
        parts = [_part_images(settings, len(planned.table), n_parts) for settings in planned.settings]
        trial, extracted = try_extraction(folder, planned, seconds, progress=progress)
        memories = []
        n = len(planned.table)
        for settings, n_images, memory in zip(planned.settings, parts, extracted, strict=True):
            per_image = _bytes_per_image(settings, memory)
            n_vectors = n * memory.grid.n_cells
            samples = folder / f"samples of {memory.path.name}"
            search = measure_search(samples, memory, n_vectors, specs, progress=progress)
            memories.append(
                PlannedMemory(
                    settings,
                    n,
                    n_vectors,
                    round(n * per_image),
                    n_images,
                    round(n_images * per_image),
                    search,
                )
            )
    return WorkPlan(n_parts, trial, tuple(memories))


def _part_images(settings: MemorySettings, n: int, n_parts: int) -> int:
    """Return the number of images of the largest part."""
    place = Path(f"the memory of layer {settings.layer!r}")
    return max(len(share_of(Part(number, n_parts), n, settings, place)) for number in range(1, n_parts + 1))


def _bytes_per_image(settings: MemorySettings, memory: Memory) -> float:
    """Return the bytes of an image's rows in all shards; measured where they depend on the values."""
    if settings.dtype not in _FLOATS:
        small = (".parquet", ".json")
        files = [entry.size for name, entry in memory.ledger.files.items() if not name.endswith(small)]
        return sum(files) / memory.n_images
    row = settings.channels * _FLOATS[settings.dtype] + 4  # its energy is a float32
    if settings.labels is not UNSET:
        row += len(settings.labels.names) * (2 if settings.labels.dtype == "uint16" else 4)
    return row * memory.grid.n_cells
