"""One memory a layer from one pass over the images: each as if it had been built alone."""

import contextlib
from collections.abc import Callable, Generator, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import numpy as np

from hueprobe.errors import ImageError, InputError, MemoryFormatError
from hueprobe.images.resolve import resolve_images
from hueprobe.images.table import ImageTable
from hueprobe.memory.background import consumed_in_background
from hueprobe.memory.build import LayerBatches, layer_batches
from hueprobe.memory.filling import Filled, add_batch, first_row, open_filled
from hueprobe.memory.recipe import load_recipes
from hueprobe.memory.settings import FILE_NAME
from hueprobe.memory.store import Memory
from hueprobe.memory.writer import MemoryWriter, open_writer
from hueprobe.progress import progress_bar

if TYPE_CHECKING:
    from torch import nn

    from hueprobe.activations.backbones import Backbone


def layer_path(path: str | Path, layer: str) -> Path:
    """Return the folder of a layer's memory: `path`, a dot and the layer.

    Characters that a folder's name may not have are written as in URLs (%2F for a slash), so that no
    two layers share a folder; `%` stands for the layer '', the network itself.

    >>> layer_path("caltech.memory", "layer4.1").name
    'caltech.memory.layer4.1'
    """
    path = Path(path)
    return path.with_name(f"{path.name}.{quote(layer, safe='') or '%'}")


def build_memories(
    path: str | Path,
    images: Any,
    *,
    backbone: "str | nn.Module | Sequence[Backbone]",
    layers: Sequence[str] = (),
    weights: str | Path = "default",
    transform: Any = None,
    workers: int | None = None,
    seed: int = 0,
    overwrite: bool = False,
    progress: bool = False,
    **stored: Any,
) -> list[Memory]:
    """Extract the activations of several layers into one memory each, by one forward pass an image.

    Each memory is byte for byte what `build_memory` makes of its layer alone, and may be continued,
    appended to and queried by itself. The same call again continues all where each one stopped.

    Parameters
    ----------
    path : path
        The memories' folders are this and a dot and the layer's name: see `layer_path`.
    backbone : str, nn.Module or list of Backbone
        As in `build_memory`; or what `load_backbones` gave (layers, weights and transform are then
        its own).
    layers : sequence of str
        Dotted module names, each once.
    images, weights, transform, workers, seed, overwrite, progress
        As in `build_memory`.
    **stored
        `descriptor`, `dtype`, `precision`, `batch_size` and `device`, as in `build_memory`.

    Returns
    -------
    list of Memory
        In the order of the layers.

    Raises
    ------
    InputError, LayerError
        No layer, a layer twice, an unknown one, or one that gives no grid; before anything is written.
    MemoryFormatError, NumericsError, ImageError
        As in `build_memory`.
    """
    from hueprobe.activations.backbones import load_backbones

    table = resolve_images(images)
    if isinstance(backbone, Sequence) and not isinstance(backbone, str):
        if layers or not backbone:
            raise InputError("backbones that are loaded have their layers; give one at least, and no layers=")
        loaded = list(backbone)
    else:
        loaded = load_backbones(backbone, layers=layers, weights=weights, transform=transform, seed=seed)
    paths = [layer_path(path, tapped.layer) for tapped in loaded]
    begun = next((folder for folder in paths if (folder / FILE_NAME).is_file()), paths[0])
    recipes = load_recipes(begun, loaded, seed=seed, resume=not overwrite, **stored)
    with contextlib.ExitStack() as stack:
        writers = []
        for folder, recipe in zip(paths, recipes, strict=True):
            writers.append(stack.enter_context(open_writer(folder, recipe.settings, overwrite=overwrite)))
        for writer in writers:
            _begin(writer, table)
        _write_pending(writers, table, layer_batches(recipes, table, workers), progress)
    return _open_all(paths)


def _begin(writer: MemoryWriter, table: ImageTable) -> None:
    if not writer.n_images:
        writer.add_source(table)
    first_row(writer, table)
    if writer.ledger.of("append") and not writer.ledger.complete:
        raise MemoryFormatError(
            f"images are being appended to {writer.folder}; finish that first, with --append"
        )


def _write_pending(
    writers: Sequence[MemoryWriter], table: ImageTable, batches: LayerBatches, progress: bool
) -> None:
    """Give every batch to the memories that lack it.

    Shards of two layers may differ in length, so one memory may be ahead; but all are whole numbers of
    batches, counted from the first image, so whoever begins earliest sets the batches for all.
    """
    if all(writer.ledger.complete for writer in writers):
        return
    done = [len(table) if writer.ledger.complete else writer.n_done for writer in writers]
    row = min(done)
    with progress_bar(len(table), label="index", done=row, enabled=progress) as advance:
        sinks = [_shards(writer, table) for writer in writers]
        with (
            consumed_in_background(partial(_hand_out, sinks, done, advance)) as writing,
            contextlib.closing(batches(row, len(table))) as made,
        ):
            for batch in made:
                if callable(batch):
                    writing.settle()
                    batch = batch()
                writing.hand_over((row, *batch))
                row += len(batch[1])


def _hand_out(
    sinks: Sequence[Generator[None, Filled, None]],
    done: Sequence[int],
    advance: Callable[[int], None],
    batches: Iterator[tuple[int, list[np.ndarray], list[dict[str, Any]]]],
) -> None:
    """Give batches, with the row of their first image, to the memories that have not got that far."""
    with contextlib.ExitStack() as stack:
        for sink in sinks:
            next(stack.enter_context(contextlib.closing(sink)))
        for row, grids, records in batches:
            for sink, activations, n_done in zip(sinks, grids, done, strict=True):
                if row >= n_done:
                    sink.send((activations, records))
            advance(len(records))


def _shards(writer: MemoryWriter, table: ImageTable) -> Generator[None, Filled, None]:
    """Write the batches that are sent, (activations, records), as the shards that a memory lacks.

    A shard that is open when the generator is closed is given up.
    """
    for start, stop in writer.pending_shards():
        with writer.shard(start, stop) as shard:
            row = start
            while row < stop:
                activations, records = yield
                add_batch(shard, writer.settings, activations, records, table.paths[row : row + len(records)])
                row += len(records)
    if not writer.ledger.complete:
        writer.complete()
    yield


def _open_all(paths: Sequence[Path]) -> list[Memory]:
    """Open all memories; where no image could be read, all are gone before the error is raised."""
    memories, failure = [], None
    for path in paths:
        try:
            memories.append(open_filled(path))
        except ImageError as error:
            failure = error
    if failure is not None:
        raise failure
    return memories
