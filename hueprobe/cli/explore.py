"""`hueprobe explore`: matches in the browser, as one file or from a local server."""

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hueprobe.cli import options as common

if TYPE_CHECKING:
    from hueprobe.explorer.exploration import Exploration

_SERVER_NEEDS = ("starlette", "uvicorn")
_MEMORY_FILE = "memory.json"


@click.command()
@click.argument("places", nargs=-1, required=True, metavar="MEMORY [MEMORY_B] [IMAGES]")
@click.option("--split", help="Use only this split of IMAGES.  [default: all images]")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write one file, such as page.html, which opens without a server.  [default: start a server]",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=0,
    show_default=True,
    help="Port of the server on 127.0.0.1; 0 is any free port.",
)
@click.option("--no-browser", is_flag=True, help="Print the server's address, and open no browser.")
@click.option(
    "--max-mb",
    type=click.FloatRange(min=0, min_open=True),
    default=100,
    show_default=True,
    help="Largest size of the file in millions of bytes.",
)
@click.option(
    "--max-images",
    type=click.IntRange(min=1),
    help="Largest number of images that can be opened in the file: a random sample of the query images, then "
    "the memory images that are matched most.  [default: all]",
)
@click.option(
    "--thumbnail-size",
    type=click.IntRange(8, 1024),
    default=112,
    show_default=True,
    help="Shorter side of the thumbnails in pixels.",
)
@click.option(
    "--quality",
    type=click.IntRange(1, 100),
    default=75,
    show_default=True,
    help="Quality of the thumbnails (WebP).",
)
@click.option(
    "--results",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder that `hueprobe observe` wrote, to show its verdicts.  [default: no verdicts]",
)
@common.k_option
@common.searcher_option
@common.index_dir_option
@common.exclude_option
@common.weights_moved_option
@common.images_root_option
@common.device_option
@common.workers_option
@common.json_option
def explore(
    places: tuple[str, ...],
    split: str | None,
    output: Path | None,
    port: int,
    no_browser: bool,
    max_mb: float,
    max_images: int | None,
    thumbnail_size: int,
    quality: int,
    results: Path | None,
    k: int,
    searcher: str,
    index_dir: Path | None,
    exclude: str,
    weights: Path | None,
    images_root: Path | None,
    device: str,
    workers: int | None,
    as_json: bool,
) -> None:
    """Show the matches of images in the browser: choose a cell, see what it matches and where.

    Queries are MEMORY's own images, each left out, or IMAGES: a folder, a table or a data manifest, as in
    `hueprobe index`. With MEMORY_B, both memories are asked for the same images and shown side by side.

    With -o, the page is one file that opens from disk, needs no network and can be passed on. Without -o, a
    server on this computer asks MEMORY live, for memories that are too large for a file. The server needs the
    extra `explore`: pip install 'hueprobe[explore]'.
    """
    from hueprobe.classifier import KernelDensityClassifier
    from hueprobe.explorer.explorer import explored_with
    from hueprobe.explorer.thumbnails import ThumbnailSettings
    from hueprobe.memory import open_memory

    memories, images = _memories_and_images(places)
    if split and images is None:
        raise click.UsageError("--split selects from IMAGES; give IMAGES too")
    if images is None and exclude == "none":
        raise click.UsageError("a memory's own images need --exclude image or group; or give IMAGES")
    if weights is not None and len(memories) > 1:
        raise click.UsageError("--weights is the file of one memory; it cannot be used with two")
    if output is None:
        if max_images is not None or as_json:
            raise click.UsageError("--max-images and --json are for a file; give -o too")
        _require_server()
    opened = [open_memory(memory) for memory in memories]
    for memory in opened:
        common.require_k(k, int(memory.valid().sum()))
        common.announce_index(memory, searcher, index_dir)
    exploration = explored_with(
        [
            KernelDensityClassifier(
                memory, k=k, searcher=searcher, exclude=None if exclude == "none" else exclude,
                weights=weights, device=device, workers=workers, index_dir=index_dir,
                progress=output is not None,
            )
            for memory in opened
        ],
        paths=memories,
        queries=None if images is None else common.named_images(images, split),
        queries_name=images,
        thumbnails=ThumbnailSettings(thumbnail_size, quality),
        images_root=images_root,
        results=results,
    )  # fmt: skip
    if output is None:
        _serve(exploration, port, no_browser)
    else:
        _write(exploration, output, max_images=max_images, max_mb=max_mb, as_json=as_json)


def _memories_and_images(places: tuple[str, ...]) -> tuple[list[str], str | None]:
    """Return the memories and the query images among the arguments: a folder with memory.json is a memory."""
    memories = [places[0]]
    rest = list(places[1:])
    if rest and (Path(rest[0]) / _MEMORY_FILE).is_file():
        memories.append(rest.pop(0))
    if rest and (Path(rest[0]) / _MEMORY_FILE).is_file():
        raise click.UsageError(f"{rest[0]} is a third memory; give at most two")
    if len(rest) > 1:
        raise click.UsageError(
            f"cannot tell what {rest[1]} is: give one or two memories and at most one IMAGES (a folder, a "
            "table or a data manifest)"
        )
    return memories, rest[0] if rest else None


def _write(
    exploration: "Exploration", output: Path, *, max_images: int | None, max_mb: float, as_json: bool
) -> None:
    from hueprobe.explorer.explorer import explorer_of

    found = explorer_of(exploration, max_images=max_images, max_mb=max_mb)
    common.report_skipped(found.skipped)
    added = f" and {found.n_added} memory images among their matches" if found.n_added else ""
    n_all = len(exploration.askable)
    sample = f" (a random sample of {n_all:,})" if max_images is not None and max_images < n_all else ""
    common.say(
        f"{output}: {found.nbytes / 1e6:.1f} MB, {found.n_queries:,} queries{sample}{added}", err=as_json
    )
    found.save(output)
    if as_json:
        common.print_json(
            {
                "output": output,
                "bytes": found.nbytes,
                "memories": [one.path for one in exploration.explored],
                "queries": found.n_queries,
                "queries_in_all": n_all,
                "added": found.n_added,
                "thumbnails": found.n_thumbnails,
                "missing": found.missing,
                "skipped": [{"path": path, "reason": reason} for path, reason in found.skipped],
            }
        )


def _require_server() -> None:
    from hueprobe.errors import MissingDependencyError

    lacking = [name for name in _SERVER_NEEDS if importlib.util.find_spec(name) is None]
    if lacking:
        raise MissingDependencyError(
            f"the server needs {' and '.join(lacking)}: pip install 'hueprobe[explore]'; a page in one file "
            "needs nothing more: give -o page.html"
        )


def _serve(exploration: "Exploration", port: int, no_browser: bool) -> None:
    import threading
    import webbrowser

    from hueprobe.explorer.server import serve

    def ready(url: str) -> None:
        common.say(f"exploring {exploration.title} at {url}", "press Ctrl-C to end")
        if not no_browser:
            # A browser in the terminal would wait for the server, which starts after this.
            threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()

    serve(exploration, port=port, ready=ready)
