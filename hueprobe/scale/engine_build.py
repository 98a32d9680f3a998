"""Building a memory in parts with an engine: workers build them, and then they are joined."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from hueprobe.arguments import as_count
from hueprobe.errors import InputError, MemoryFormatError
from hueprobe.memory.build import build_memories, build_memory, layer_path
from hueprobe.memory.files import LOCK
from hueprobe.memory.in_parts import parts_folder
from hueprobe.memory.ledger import read_ledger
from hueprobe.memory.planned_build import BuildOptions, PlannedBuild, plan_build
from hueprobe.memory.settings import FILE_NAME as SETTINGS
from hueprobe.memory.store import Memory
from hueprobe.scale.beginning import require_room, require_same_work
from hueprobe.scale.build import build_layer_parts, build_part
from hueprobe.scale.engines.engine import Engine, EngineName
from hueprobe.scale.engines.logs import remove_logs
from hueprobe.scale.engines.opening import open_engine
from hueprobe.scale.engines.running import RESTARTS, Piece, Work, run_pieces
from hueprobe.scale.folders import part_path, read_parts, whole_folder
from hueprobe.scale.joining import join
from hueprobe.scale.locks import is_held
from hueprobe.scale.part import Part

if TYPE_CHECKING:
    from torch import nn

    from hueprobe.activations.backbones import Backbone


def build_in_parts(
    path: str | Path,
    images: Any,
    *,
    backbone: "str | nn.Module | Backbone",
    layer: str | None = None,
    engine: str,
    n_parts: int | None = None,
    engine_options: Mapping[str, Any] | None = None,
    restarts: int = RESTARTS,
    progress: bool = False,
    **options: Unpack[BuildOptions],
) -> Memory:
    """Build a memory in parts by several workers, and join them.

    Workers are processes on this machine, tasks of Ray, or jobs of SLURM. Each does the work of `build_part`,
    and the result is byte for byte that of `build_memory`. What is finished is in the files of the parts
    alone: this call may be killed at any moment and made again, with this engine, another, or none
    (`build_part` and `join`). A worker that dies is started again. All machines must see the folder of the
    memory and the images under the same paths.

    The output of workers goes to a folder beside the memory, `my.memory.logs`, which is removed after the
    join.

    Parameters
    ----------
    path : path
        Folder of the memory.
    images : path, ImageTable, torch Dataset or list of files
        The images; see `hueprobe.build_memory`. A Dataset must be picklable.
    backbone : str, nn.Module or Backbone
        The network; see `hueprobe.build_memory`. A module must be picklable: of a class that workers can
        import. Of a name, every worker makes its own network.
    layer : str, optional
        Dotted name of the module whose output is extracted. By default the backbone's bottleneck.
    engine : str
        `"local:4"` for four processes that share the cores of this machine, and its CUDA devices in turn;
        `"ray"` for Ray on this machine, `"ray:ADDRESS"` for a cluster; `"submitit"` for SLURM, or
        `"submitit:local"` to try that without one.
    n_parts : int, optional
        Number of parts. By default that of the parts that were begun, or one for each worker: the number of
        processes, the GPUs of the Ray cluster, or its cores if there are none. SLURM needs it. Without it,
        there are at most as many parts as shards.
    engine_options : mapping of str to value, optional
        For Ray, options of `ray.remote` such as `num_cpus`, by default one GPU with its share of the cores,
        or one core. For submitit, parameters of `update_parameters` such as `timeout_min` (by default a
        day) and `gpus_per_node`, or of sbatch such as `partition`.
    restarts : int, default=3
        How often a part is started again in a row after its worker died without finishing a shard.
    progress : bool, default=False
        Whether to show a line over all parts, with images per second and the time left.
    **options
        Other arguments of `hueprobe.build_memory`. `workers` are the threads of each worker, by default
        its share of the cores.

    Returns
    -------
    Memory
        The memory. If it is complete already, its images are compared, as by `build_memory`.

    Raises
    ------
    InputError
        The engine is unknown or cannot run here; there are more parts than shards; or the network or the
        images cannot be sent to a worker.
    MissingDependencyError
        The engine's package is not installed.
    WorkerError
        The worker of a part died too often; the message names the part and its log.
    MemoryFormatError
        The memory was begun in one piece, or its parts have another number, other settings or images.
    NumericsError, ImageError, ShapeError, LayerError
        See `hueprobe.build_memory`; the message names the part.

    Warns
    -----
    HueprobeWarning
        A worker died, and is started again.

    See Also
    --------
    hueprobe.scale.build_part : Build one part in this process.
    hueprobe.scale.build_layers_in_parts : Several layers.
    hueprobe.scale.parts_of : How far each part is.

    Examples
    --------
    >>> options = {"backbone": network, "layer": "3", "transform": transform, "batch_size": 4}
    >>> hp.scale.build_in_parts("m", "images", engine="local:1", n_parts=2, shard_images=4, **options)
    <Memory m: 12 images x 7x7 x 16, live Sequential:3>
    """
    from hueprobe.activations.backbones import Backbone

    layers = () if isinstance(backbone, Backbone) else [layer]
    asked = _Asked(
        place=lambda _: Path(path), whole=lambda found, **of: [build_memory(path, found, layer=layer, **of)],
        part=partial(build_part, layer=layer), backbone=backbone, layers=layers,
    )  # fmt: skip
    running = _Running(engine, n_parts, engine_options, restarts, progress, Path(path))
    (memory,) = _build(images, asked, running, options)
    return memory


def build_layers_in_parts(
    path: str | Path,
    images: Any,
    *,
    backbone: "str | nn.Module | Sequence[Backbone]",
    layers: Sequence[str] = (),
    engine: str,
    n_parts: int | None = None,
    engine_options: Mapping[str, Any] | None = None,
    restarts: int = RESTARTS,
    progress: bool = False,
    **options: Unpack[BuildOptions],
) -> list[Memory]:
    """Build the memories of several layers in parts by several workers, and join them.

    Parameters
    ----------
    path : path
        Start of the memories' paths; see `hueprobe.build_memories`.
    images : path, ImageTable, torch Dataset or list of files
        The images; see `build_in_parts`.
    backbone : str, nn.Module or list of Backbone
        The network; see `hueprobe.build_memories` and `build_in_parts`.
    layers : sequence of str, default=()
        Dotted names of modules, without repeats. Empty only for a result of `load_backbones`.
    engine : str
        What starts the workers; see `build_in_parts`.
    n_parts : int, optional
        Number of parts; see `build_in_parts`.
    engine_options : mapping of str to value, optional
        Options of the engine; see `build_in_parts`.
    restarts : int, default=3
        How often a part is started again in a row after its worker died without finishing a shard.
    progress : bool, default=False
        Whether to show a line over all parts.
    **options
        Other arguments of `hueprobe.build_memory`.

    Returns
    -------
    list of Memory
        One for each layer, in their order.

    Raises
    ------
    InputError, MissingDependencyError, WorkerError, MemoryFormatError
        See `build_in_parts`.
    NumericsError, ImageError, ShapeError, LayerError
        See `hueprobe.build_memory`.

    See Also
    --------
    hueprobe.scale.build_in_parts : One layer.
    hueprobe.scale.build_layer_parts : One part of several layers, in this process.

    Examples
    --------
    >>> options = {"backbone": network, "layers": ["1", "3"], "transform": transform, "batch_size": 4}
    >>> hp.scale.build_layers_in_parts("m", "images", engine="local:1", **options)
    [<Memory m.1: 12 images x 15x15 x 8, live Sequential:1>,
     <Memory m.3: 12 images x 7x7 x 16, live Sequential:3>]
    """
    asked = _Asked(
        place=lambda layer: layer_path(path, layer or ""),
        whole=lambda found, **of: build_memories(path, found, layers=layers, **of),
        part=partial(build_layer_parts, layers=layers), backbone=backbone, layers=layers,
    )  # fmt: skip
    running = _Running(engine, n_parts, engine_options, restarts, progress, Path(path))
    return _build(images, asked, running, options)


@dataclass(frozen=True)
class _Asked:
    """What is built: the folder of each layer's memory, and the functions that build all or a part."""

    place: Callable[[str | None], Path]
    whole: Callable[..., list[Memory]]
    part: Callable[..., Any]
    backbone: Any
    layers: Sequence[str | None]


@dataclass(frozen=True)
class _Running:
    """With what it is built."""

    engine: str
    n_parts: int | None
    engine_options: Mapping[str, Any] | None
    restarts: int
    progress: bool
    path: Path


@dataclass(frozen=True)
class _BuildTask:
    """One part, as it goes to a worker."""

    build: Callable[..., Any]
    path: Path
    table: Any
    part: Part
    options: Mapping[str, Any]

    def __call__(self) -> None:
        self.build(self.path, self.table, self.part, progress=True, **self.options)


def _build(images: Any, asked: _Asked, running: _Running, options: BuildOptions) -> list[Memory]:
    name = EngineName.parse(running.engine)
    n_parts = None if running.n_parts is None else as_count("n_parts", running.n_parts)
    restarts = as_count("restarts", running.restarts, least=0)
    logs = parts_folder(running.path.absolute()).with_suffix(".logs")
    device = options.get("device", "auto")
    with open_engine(
        name, options=running.engine_options or {}, logs=logs, device=device, work="index"
    ) as engine:
        planned = _planned(images, asked, running.progress, options)
        paths = [asked.place(extraction.backbone.layer) for extraction in planned.extractions]
        in_parts = [path for path in paths if parts_folder(path).is_dir()]
        if not in_parts and all((path / SETTINGS).is_file() for path in paths):
            _require_complete(paths)
            return asked.whole(
                planned.table, backbone=asked.backbone, progress=running.progress,
                **{**options, "masks": planned.masks},
            )  # fmt: skip
        if not any((path / SETTINGS).is_file() for path in paths):  # otherwise a join was stopped
            n = _number_of_parts(paths, planned, n_parts, engine)
            pieces = _pieces(paths, planned, n, asked, running, engine, options)
            if pieces:
                work = Work("index", len(planned.table), len(paths), logs, restarts)
                run_pieces(pieces, engine, work, progress=running.progress)
    memories = [join(path, progress=running.progress) for path in paths]
    remove_logs(logs)
    return memories


def _planned(images: Any, asked: _Asked, progress: bool, options: BuildOptions) -> PlannedBuild:
    """Return what all parts will find, with the settings of those that were begun as defaults."""

    def there(layer: str | None) -> Path:
        path = asked.place(layer)
        return path if (path / SETTINGS).is_file() else whole_folder(path)

    return plan_build(
        there, images, backbone=asked.backbone, layers=asked.layers, progress=progress, **options
    )


def _require_complete(paths: Sequence[Path]) -> None:
    for path in paths:
        if not read_ledger(path).complete:
            raise MemoryFormatError(
                f"{path} was begun in one piece; continue it without an engine, or choose another folder"
            )


def _number_of_parts(paths: Sequence[Path], planned: PlannedBuild, asked: int | None, engine: Engine) -> int:
    """Return the number of parts: as asked for, as begun, or one for each worker."""
    n_images = len(planned.table)
    n_shards = min(-(-n_images // settings.shard_images) for settings in planned.settings)
    for path in paths:
        if (whole := read_parts(path)) is not None:
            if asked not in (None, whole.n):
                raise MemoryFormatError(
                    f"{path} is being built in {whole.n} parts, got {asked}; give --parts {whole.n} "
                    f"(n_parts=), choose another folder, or remove {parts_folder(path)} to begin anew"
                )
            return whole.n
    if asked is None and engine.n_parts is None:
        raise InputError("engine submitit cannot know how many parts to make; give --parts N (n_parts=)")
    if asked is not None and asked > n_shards:
        raise InputError(
            f"{paths[0]} has {n_images} images in {n_shards} shards, so at most {n_shards} parts, got "
            f"{asked}; give fewer (--parts {n_shards}, n_parts=)"
        )
    return asked or min(n_shards, engine.n_parts or 1)


def _pieces(
    paths: Sequence[Path],
    planned: PlannedBuild,
    n: int,
    asked: _Asked,
    running: _Running,
    engine: Engine,
    options: BuildOptions,
) -> list[Piece]:
    """Return the work of each part; none if all are complete and only the join is left."""
    for path, settings in zip(paths, planned.settings, strict=True):
        whole = read_parts(path)
        if whole is None:
            require_room(path)
        elif whole.is_joining:
            return []
        else:
            require_same_work(whole, Part(1, n), settings, planned.table, planned.masks)
    sent = {**options, "masks": planned.masks, "workers": options.get("workers")}
    if sent["workers"] is None:
        sent["workers"] = engine.decoders
    if os.path.isfile(weights := options.get("weights", "default")):
        sent["weights"] = os.path.abspath(weights)
    pieces = []
    for number in range(1, n + 1):
        part = Part(number, n)
        folders = [part_path(path, part) for path in paths]
        task = _BuildTask(
            asked.part, running.path.absolute(), planned.table, part, {**sent, "backbone": asked.backbone}
        )
        pieces.append(Piece(part, task, partial(_state, folders), partial(_is_held, folders)))
    return pieces


def _state(folders: Sequence[Path]) -> tuple[int, bool]:
    """Return how many images of a part are in finished shards, over all layers, and if it is complete."""
    ledgers = [read_ledger(folder) for folder in folders]
    return sum(ledger.n_done for ledger in ledgers), all(ledger.complete for ledger in ledgers)


def _is_held(folders: Sequence[Path]) -> bool:
    return any(is_held(folder / LOCK) for folder in folders)
