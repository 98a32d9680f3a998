"""The files that `hueprobe segment` writes: a folder that appears when all of it is there."""

import shutil
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from hueprobe.cli.figures import save_figure
from hueprobe.files import PARTIAL, storing

if TYPE_CHECKING:
    from hueprobe.dense import LayerSegmentations, Segmentation
    from hueprobe.images.mask_files import Masks
    from hueprobe.images.table import ImageTable

Fill = Callable[[Path], list[str]]


def write_whole_folder(folder: Path, fill: Fill) -> list[str]:
    """Let `fill` write into a folder that then takes the place of the wanted one; return its figures.

    Parameters
    ----------
    folder : Path
        The wanted folder, which does not exist or is empty.
    fill : callable
        Function that writes files below a folder and returns the figures, relative to it.
    """
    partial = folder.with_name(folder.name + PARTIAL)
    with storing(folder):
        shutil.rmtree(partial, ignore_errors=True)
        try:
            partial.mkdir(parents=True)
            figures = fill(partial)
            if folder.exists():
                folder.rmdir()
            partial.replace(folder)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
    return figures


def write_segmentation(
    folder: Path,
    found: "Segmentation",
    document: dict[str, Any],
    table: "ImageTable",
    masks: "Masks | None",
    n: int,
) -> list[str]:
    """Write label maps, scores, label shares and figures of one segmentation; return the figures.

    Parameters
    ----------
    folder : Path
        Where to write.
    found : Segmentation
        The segmentation.
    document : dict
        Contents of `scores.json`.
    table : ImageTable
        The images.
    masks : Masks or None
        Their true labels.
    n : int
        Number of images to draw.
    """
    from hueprobe import plots
    from hueprobe.dense.label_files import label_file_names, write_label_map
    from hueprobe.json_documents import json_text

    (folder / "labels").mkdir(parents=True)
    for i, name in enumerate(label_file_names(found.images)):
        file = folder / "labels" / PurePosixPath(name)
        file.parent.mkdir(parents=True, exist_ok=True)
        write_label_map(file, found.label_map(i), found.labels)
    found.save(folder / "segmentation.npz")
    (folder / "scores.json").write_text(json_text(document, indent=1) + "\n")
    figures = []
    for i in _spaced(len(found), n):
        (folder / "figures").mkdir(exist_ok=True)
        row = int(found.rows[i])
        drawn = plots.segmentation_figure(
            found, i, images=table, true=None if masks is None else masks.read(row)
        )
        figures.append(f"figures/{i:04d}.png")
        save_figure(drawn, folder / figures[-1])
    return figures


def write_comparison(folder: Path, found: "LayerSegmentations", document: dict[str, Any]) -> list[str]:
    """Write the comparison of layers: a table, its document, the counts and a figure; return the figure.

    Parameters
    ----------
    folder : Path
        Where to write.
    found : LayerSegmentations
        The segmentations.
    document : dict
        Contents of `layers.json`.
    """
    import pyarrow.csv

    from hueprobe import plots
    from hueprobe.json_documents import json_text

    (folder / "layers.json").write_text(json_text(document, indent=1) + "\n")
    if found.scores is None:
        return []
    found.scores.save(folder / "layers.npz")
    pyarrow.csv.write_csv(found.scores.to_arrow(), folder / "layers.csv")
    save_figure(plots.layer_figure(found.scores), folder / "layers.png")
    return ["layers.png"]


def _spaced(n: int, wanted: int) -> list[int]:
    """Return numbers of images, evenly spaced.

    >>> _spaced(10, 3), _spaced(2, 4)
    ([0, 4, 9], [0, 1])
    """
    wanted = min(n, wanted)
    return [round(j * (n - 1) / max(wanted - 1, 1)) for j in range(wanted)]
