"""Saving figures: the one place where drawings become files."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hueprobe.files import written_whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from hueprobe.classification import Classification

FORMATS = (".png", ".pdf", ".svg")


def save_figure(drawn: "Figure | Axes", path: Path) -> None:
    """Write a figure, or the one that an Axes is in, whole: .png, .pdf or .svg by its ending."""
    from hueprobe.plots.fonts import missing_told

    suffix = path.suffix.lower()
    require_figure_name(path)
    figure: Any = drawn.figure  # of a figure itself
    with written_whole(path) as file, missing_told():
        figure.savefig(file, format=suffix[1:])


def require_figure_name(path: Path) -> None:
    """Refuse an ending that no figure can have, or a folder that is not there."""
    if path.suffix.lower() not in FORMATS:
        raise click.UsageError(f"cannot draw into {path.name!r}; end the name in {', '.join(FORMATS)}")
    if not path.parent.is_dir():
        raise click.UsageError(f"folder {path.parent} does not exist; make it first")


def save_query_figures(
    path: Path, result: "Classification", *, images_root: Path | None = None
) -> list[Path]:
    """Draw every classified image beside its best matches; return the files' names.

    One image is drawn into `path`, several into `path` with -1, -2, ... before its ending. A memory
    image that is no longer where it was is an error with a word on `--images-root`.
    """
    from hueprobe import plots

    paths = [path]
    if len(result.images) > 1:
        paths = [path.with_name(f"{path.stem}-{i + 1}{path.suffix}") for i in range(len(result.images))]
    for i, file in enumerate(paths):
        save_figure(plots.query(result, i, images_root=images_root), file)
    return paths
