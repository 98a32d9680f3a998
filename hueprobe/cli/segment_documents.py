"""What `hueprobe segment` found, as JSON documents and as tables in the terminal."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from hueprobe.cli import options as common

if TYPE_CHECKING:
    from hueprobe.dense import LayerScores, LayerSegmentations, Scores, Segmentation
    from hueprobe.stats.intervals import Interval


def document_of(found: "Segmentation", memory: Path) -> dict[str, Any]:
    """Return the document of one segmentation.

    Parameters
    ----------
    found : Segmentation
        The segmentation.
    memory : Path
        Folder of the memory.
    """
    return {
        "memory": memory,
        **_shared(found),
        "searcher_recall": found.settings.searcher_recall,
        "seconds": {**found.seconds, "total": sum(found.seconds.values())},
        "scores": None if found.scores is None else _scores(found.scores),
    }


def document_of_layers(
    found: "LayerSegmentations", memories: tuple[Path, ...], folders: dict[str, str]
) -> dict[str, Any]:
    """Return the document of several layers.

    Parameters
    ----------
    found : LayerSegmentations
        The segmentations.
    memories : tuple of Path
        Folder of each memory.
    folders : dict of str to str
        Folder of each layer's files.
    """
    return {
        **_shared(found.segmentations[0]),
        "layers": [
            {
                "layer": layer,
                "memory": memory,
                "folder": folders[layer],
                "grid": one.grid.shape,
                "searcher_recall": one.settings.searcher_recall,
            }
            for layer, memory, one in zip(found.layers, memories, found.segmentations, strict=True)
        ],
        "seconds": {**found.seconds, "total": sum(found.seconds.values())},
        "comparison": None if found.scores is None else _comparison(found.scores),
    }


def report(found: "Segmentation", folder: Path) -> None:
    """Print one segmentation.

    Parameters
    ----------
    found : Segmentation
        The segmentation.
    folder : Path
        Folder that was written.
    """
    scores = found.scores
    if scores is not None:
        rows = [
            [
                str(row["label"]),
                *(common.number(row[name], ".3f") for name in ("iou", "iou_low", "iou_high", "boundary_f")),
                str(row["true_pixels"]),
            ]
            for row in scores.to_arrow().to_pylist()
        ]
        common.print_table("", ["label", "IoU", "low", "high", "boundary F", "pixels"], rows)
        for name, one in (
            ("mean IoU", scores.mean_iou),
            ("pixel accuracy", scores.pixel_accuracy),
            ("boundary F", scores.mean_boundary_f),
        ):
            low, high = common.number(one.low, ".3f"), common.number(one.high, ".3f")
            common.say(f"{name} {common.number(one.estimate, '.3f')} (95 % interval {low} to {high})")
        common.say(f"{_over(scores)}, protocol {found.settings.protocol}")
    _report_seconds(found.seconds)
    common.say(f"{len(found)} label maps in {folder / 'labels'}")


def report_layers(found: "LayerSegmentations", folder: Path) -> None:
    """Print the comparison of several layers.

    Parameters
    ----------
    found : LayerSegmentations
        The segmentations.
    folder : Path
        Folder that was written.
    """
    scores = found.scores
    if scores is not None:
        rows = [
            [
                row.layer or "output", "{}x{}".format(*row.grid), row.method, _cell(row.scores.mean_iou),
                "reference" if row.difference is None else _cell(row.difference.mean_iou, "+"),
                _cell(row.scores.pixel_accuracy), _cell(row.scores.mean_boundary_f),
            ]
            for row in scores.rows
        ]  # fmt: skip
        heads = ["layer", "cells", "method", "mean IoU", "difference", "pixel accuracy", "boundary F"]
        common.print_table("", heads, rows)
        common.say(
            f"{_over(scores.rows[0].scores)}, protocol {scores.settings.protocol}; differences of mean IoU "
            f"to layer {scores.reference or 'output'}, paired by image"
        )
    _report_seconds(found.seconds)
    common.say(f"{len(found.segmentations[0])} label maps of each of {len(found)} layers in {folder}")


def _shared(found: "Segmentation") -> dict[str, Any]:
    settings = found.settings
    return {
        "images": len(found),
        "labels": list(found.labels.names),
        "kernel": settings.kernel,
        "k": settings.k,
        "protocol": settings.protocol,
        "searcher": settings.searcher,
        "exclude": settings.exclude,
        "cells_per_image": settings.cells_per_image,
        "sampling": settings.sampling,
        "skipped": [{"path": path, "reason": reason} for path, reason in found.skipped],
    }


def _scores(scores: "Scores") -> dict[str, Any]:
    return {
        "images": scores.n_images,
        "units": scores.n_units,
        "pixels": scores.n_pixels,
        **_means(scores),
        "assigned": list(scores.assigned),
        "confusion": scores.confusion.sum(axis=0),
        "per_label": {
            name: {"iou": _numbers(iou), "boundary_f": _numbers(f)}
            for name, iou, f in zip(scores.label_names, scores.iou, scores.boundary_f, strict=True)
        },
    }


def _comparison(scores: "LayerScores") -> dict[str, Any]:
    one = scores.rows[0].scores
    return {
        "images": one.n_images,
        "units": one.n_units,
        "reference": scores.reference,
        "best": scores.best,
        "rows": [
            {
                "layer": row.layer,
                "method": row.method,
                "grid": row.grid,
                "channels": row.n_channels,
                **_means(row.scores),
                "difference": None if row.difference is None else _means(row.difference),
            }
            for row in scores.rows
        ],
    }


def _means(scores: Any) -> dict[str, Any]:
    from hueprobe.dense.layer_scores import METRICS

    return {name: _numbers(getattr(scores, name)) for name in METRICS}


def _numbers(interval: "Interval") -> dict[str, Any]:
    return {"value": interval.estimate, "ci95": [interval.low, interval.high]}


def _cell(interval: "Interval", sign: str = "") -> str:
    low, high = (common.number(bound, f"{sign}.3f") for bound in (interval.low, interval.high))
    return f"{common.number(interval.estimate, f'{sign}.3f')} ({low} to {high})"


def _over(scores: "Scores") -> str:
    over = "images" if scores.n_units == scores.n_images else f"{scores.n_units} groups"
    return f"{scores.n_images} images, intervals over {over}"


def _report_seconds(seconds: dict[str, float]) -> None:
    shown = {**seconds, "total": sum(seconds.values())}
    common.say("seconds: " + ", ".join(f"{name} {value:.2f}" for name, value in shown.items()))
