"""Scores of label maps by layer, with differences that are paired by image."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from hueprobe.dense.scores import Scores
from hueprobe.dense.segmentation import SegmentSettings
from hueprobe.errors import InputError
from hueprobe.files import written_whole
from hueprobe.frames import to_frame
from hueprobe.html_tables import html_table
from hueprobe.json_documents import json_text
from hueprobe.stats.intervals import Interval

if TYPE_CHECKING:
    import pandas as pd

NEAREST = "nearest"  # the method of label transfer; the others are baselines
METRICS = ("mean_iou", "pixel_accuracy", "mean_boundary_f")
LAYERS_FORMAT = "hueprobe layer scores 1"


@dataclass(frozen=True)
class ScoreDifference:
    """Scores of one label map minus those of the reference, on the same images.

    Attributes
    ----------
    mean_iou, pixel_accuracy, mean_boundary_f : Interval
        Differences, with intervals of a bootstrap that draws the same images, or groups, for both.
    """

    mean_iou: Interval
    pixel_accuracy: Interval
    mean_boundary_f: Interval


@dataclass(frozen=True)
class LayerRow:
    """Scores of one method at one layer.

    Attributes
    ----------
    layer : str
        Name of the layer.
    method : str
        `nearest` for label transfer from the nearest cells, or the name of a baseline.
    grid : (int, int)
        Rows and columns of cells.
    n_channels : int
        Number of channels.
    scores : Scores
        The scores.
    difference : ScoreDifference or None
        Scores minus those of label transfer at the reference layer; None for these themselves.
    """

    layer: str
    method: str
    grid: tuple[int, int]
    n_channels: int
    scores: Scores
    difference: ScoreDifference | None


@dataclass(frozen=True, eq=False, repr=False)
class LayerScores:
    """Scores of several layers on the same images, and of the baselines of each.

    Attributes
    ----------
    rows : tuple of LayerRow
        One for each layer and method, layer by layer.
    reference : str
        Layer whose label transfer the others are compared with.
    groups : tuple of (str or None)
        Group of each image.
    settings : SegmentSettings
        How images were segmented, as at the reference layer.

    See Also
    --------
    hueprobe.dense.segment_layers : Its `scores` are these.
    hueprobe.plots.layer_figure : Draw them.

    Examples
    --------
    >>> both = hp.build_memories(
    ...     "m", "images", masks="masks", backbone=network, layers=["1", "3"], transform=transform
    ... )
    >>> options = {"masks": "other_masks", "backbone": network, "transform": transform}
    >>> found = hp.dense.segment_layers(both, "others", **options)
    >>> found.scores.layers, found.scores.reference
    (('1', '3'), '3')
    """

    rows: tuple[LayerRow, ...]
    reference: str
    groups: tuple[str | None, ...]
    settings: SegmentSettings

    @property
    def layers(self) -> tuple[str, ...]:
        """The layers, in the order of the memories."""
        return tuple(dict.fromkeys(row.layer for row in self.rows))

    @property
    def methods(self) -> tuple[str, ...]:
        """`nearest`, and the baselines."""
        return tuple(dict.fromkeys(row.method for row in self.rows))

    @property
    def best(self) -> str:
        """The layer with the largest mean IoU of label transfer; of equal ones the first."""
        return best_layer([(row.layer, row.scores) for row in self.rows if row.method == NEAREST])

    def row(self, layer: str, method: str = NEAREST) -> LayerRow:
        """Return the row of a layer and method.

        Parameters
        ----------
        layer : str
            Name of the layer.
        method : str, default="nearest"
            `nearest`, or the name of a baseline.

        Returns
        -------
        LayerRow

        Raises
        ------
        InputError
            There is no such row.
        """
        for row in self.rows:
            if (row.layer, row.method) == (layer, method):
                return row
        raise InputError(
            f"there are no scores of {method!r} at layer {layer!r}; the layers are {', '.join(self.layers)}, "
            f"the methods {', '.join(self.methods)}"
        )

    def __repr__(self) -> str:
        """Return one line with the mean IoU of each layer."""
        shown = ", ".join(
            f"{row.layer} {row.scores.mean_iou.estimate:.3f}" for row in self.rows if row.method == NEAREST
        )
        return f"<LayerScores of {self.rows[0].scores.n_images} images: mean IoU {shown}>"

    def numbers(self) -> dict[str, Interval]:
        """Return all scores and differences by name, such as `layer3.nearest.mean_iou.difference`.

        Returns
        -------
        dict of str to Interval
        """
        found = {}
        for row in self.rows:
            for name in METRICS:
                found[f"{row.layer}.{row.method}.{name}"] = getattr(row.scores, name)
                if row.difference is not None:
                    found[f"{row.layer}.{row.method}.{name}.difference"] = getattr(row.difference, name)
        return found

    def to_arrow(self) -> pa.Table:
        """Return one row per layer and method: scores and differences with their bounds.

        Returns
        -------
        pyarrow.Table
            Columns `layer`, `method`, `grid_height`, `grid_width`, `channels`, `images`, `units`, and for
            `mean_iou`, `pixel_accuracy` and `mean_boundary_f` the value, `_low`, `_high`, and the same of the
            difference, `_difference`, `_difference_low` and `_difference_high`; null for the reference.

        Examples
        --------
        >>> both = hp.build_memories(
        ...     "m", "images", masks="masks", backbone=network, layers=["1", "3"], transform=transform
        ... )
        >>> options = {"masks": "other_masks", "backbone": network, "transform": transform}
        >>> hp.dense.segment_layers(both, "others", **options).scores.to_arrow().num_rows
        2
        """
        columns: dict[str, list[Any]] = {
            "layer": [row.layer for row in self.rows],
            "method": [row.method for row in self.rows],
            "grid_height": [row.grid[0] for row in self.rows],
            "grid_width": [row.grid[1] for row in self.rows],
            "channels": [row.n_channels for row in self.rows],
            "images": [row.scores.n_images for row in self.rows],
            "units": [row.scores.n_units for row in self.rows],
        }
        for name in METRICS:
            for ending, of in (("", "scores"), ("_difference", "difference")):
                its = [getattr(getattr(row, of), name, None) for row in self.rows]
                columns[name + ending] = [None if one is None else one.estimate for one in its]
                columns[f"{name}{ending}_low"] = [None if one is None else one.low for one in its]
                columns[f"{name}{ending}_high"] = [None if one is None else one.high for one in its]
        types = {name: pa.float64() for name in columns if name.startswith(METRICS)}
        return pa.table({name: pa.array(its, types.get(name)) for name, its in columns.items()})

    def to_pandas(self) -> "pd.DataFrame":
        """Return `to_arrow` as a data frame.

        Returns
        -------
        pandas.DataFrame

        Raises
        ------
        MissingDependencyError
            pandas is not installed.
        """
        return to_frame(self.to_arrow())

    def _repr_html_(self) -> str:
        rows = [
            (row.layer, row.method, *(_text(getattr(row.scores, name)) for name in METRICS),
             None if row.difference is None else _text(row.difference.mean_iou, "+"))
            for row in self.rows
        ]  # fmt: skip
        one = self.rows[0].scores
        unit = "images" if one.n_units == one.n_images else f"groups ({one.n_units})"
        return html_table(
            ("layer", "method", "mean IoU", "pixel accuracy", "boundary F", "mean IoU, difference"), rows,
            caption=f"{one.n_images} images; 95 % intervals over {unit}; differences to {NEAREST} at layer "
            f"{self.reference}, paired by image",
        )  # fmt: skip

    def save(self, path: str | Path) -> None:
        """Save the counts that all scores follow from to one .npz file.

        Parameters
        ----------
        path : path
            File to write.

        See Also
        --------
        hueprobe.dense.read_layer_scores : Read it again.

        Examples
        --------
        >>> both = hp.build_memories(
        ...     "m", "images", masks="masks", backbone=network, layers=["1", "3"], transform=transform
        ... )
        >>> options = {"masks": "other_masks", "backbone": network, "transform": transform}
        >>> hp.dense.segment_layers(both, "others", **options).scores.save("layers.npz")
        >>> hp.dense.read_layer_scores("layers.npz").layers
        ('1', '3')
        """
        rows = [
            {"layer": row.layer, "method": row.method, "grid": row.grid, "n_channels": row.n_channels,
             "assigned": row.scores.assigned}
            for row in self.rows
        ]  # fmt: skip
        header = {
            "format": LAYERS_FORMAT,
            "rows": rows,
            "reference": self.reference,
            "groups": self.groups,
            "label_names": self.rows[0].scores.label_names,
            "settings": asdict(self.settings),
        }
        with written_whole(Path(path)) as file:
            np.savez_compressed(
                file,
                header=np.frombuffer(json_text(header).encode(), np.uint8),
                confusion=np.stack([row.scores.confusion for row in self.rows]),
                boundaries=np.stack([row.scores.boundaries for row in self.rows]),
            )


def best_layer(scores: Sequence[tuple[str, Scores]]) -> str:
    """Return the layer with the largest mean IoU; of equal ones the first.

    Parameters
    ----------
    scores : sequence of (str, Scores)
        Layers and the scores of their label transfer.
    """
    return max(scores, key=lambda one: one[1].mean_iou.estimate)[0]


def _text(interval: Interval, sign: str = "") -> str:
    if np.isnan(interval.estimate):
        return "-"
    if np.isnan(interval.low):
        return f"{interval.estimate:{sign}.3f}"
    return f"{interval.estimate:{sign}.3f} ({interval.low:{sign}.3f} to {interval.high:{sign}.3f})"
