"""Saving of figures to files."""

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
    """Write a figure, or the one of an Axes, atomically as .png, .pdf or .svg, chosen by the ending."""
    from hueprobe.plots.fonts import missing_told

    suffix = path.suffix.lower()
    require_figure_name(path)
    figure: Any = drawn.figure  # a Figure's own attribute is itself
    with written_whole(path) as file, missing_told():
        figure.savefig(file, format=suffix[1:])


def require_figure_name(path: Path) -> None:
    """Reject an unsupported ending, or a folder that does not exist."""
    if path.suffix.lower() not in FORMATS:
        raise click.UsageError(f"cannot draw into {path.name!r}; end the name in {', '.join(FORMATS)}")
    if not path.parent.is_dir():
        raise click.UsageError(f"folder {path.parent} does not exist; create it first")


def save_query_figures(
    path: Path, result: "Classification", *, images_root: Path | None = None
) -> list[Path]:
    """Draw every classified image beside its best matches, and return the files.

    One image is drawn to `path`, several to `path` with -1, -2, ... before its ending. A memory image that
    was moved raises an error that mentions `--images-root`.
    """
    from hueprobe import plots

    paths = [path]
    if len(result.images) > 1:
        paths = [path.with_name(f"{path.stem}-{i + 1}{path.suffix}") for i in range(len(result.images))]
    for i, file in enumerate(paths):
        save_figure(plots.query(result, i, images_root=images_root), file)
    return paths
