"""`hueprobe evaluate --calibration` and `--outside`: how far to trust the answers."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hueprobe.cli import options as common
from hueprobe.cli.figures import require_figure_name, save_figure

if TYPE_CHECKING:
    from hueprobe.classification import Classification
    from hueprobe.images.table import ImageTable
    from hueprobe.match_files import MatchWriter
    from hueprobe.stats.intervals import Interval
    from hueprobe.trust import (
        CalibrationCheck,
        ConformalPredictions,
        NearestPatches,
        OutsideDetection,
        Reliability,
    )

calibration_option = click.option(
    "--calibration",
    metavar="IMAGES2",
    help="Labeled images that are neither in MEMORY nor in IMAGES, or the name of a split of IMAGES. Adds "
    "conformal prediction sets with their coverage, and the calibration of the likelihoods.",
)
layers_option = click.option(
    "--layers",
    metavar="MEMORY2",
    type=click.Path(path_type=Path),
    multiple=True,
    help="Add this memory of the same images at another layer of the same network to the p-values of "
    "--calibration; may be repeated. Accuracy and distances are those of MEMORY alone.  [default: none]",
)
outside_option = click.option(
    "--outside",
    metavar="IMAGES3",
    help="Images unlike those of MEMORY; classes are not needed. Adds how well distances, margin and (with "
    "--calibration) credibility tell them from the classified images.",
)
figure_option = click.option(
    "--figure",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Draw what --calibration and --outside measured into this .png, .pdf or .svg file; with both, into "
    "two files that end in -calibration and -outside.",
)


@dataclass(frozen=True)
class Trust:
    """What was measured; None for what was not asked for."""

    conformal: "ConformalPredictions | None" = None
    check: "CalibrationCheck | None" = None
    outside: "OutsideDetection | None" = None


def require_options(
    *,
    calibration: str | None,
    outside: str | None,
    figure: Path | None,
    leave_one_out: bool,
    pooled: bool,
    layers: tuple[Path, ...] = (),
) -> None:
    """Reject options that do not go together."""
    if layers and calibration is None:
        raise click.UsageError("--layers adds memories to the p-values of --calibration; give --calibration")
    if layers and pooled:
        raise click.UsageError("--layers needs --classifier kde; leave out --classifier")
    if calibration is not None and leave_one_out:
        raise click.UsageError(
            "--calibration needs IMAGES to test: images left out of the memory one at a time are not drawn "
            "as calibration images are"
        )
    if outside is not None and pooled:
        raise click.UsageError("--outside needs the distances of --classifier kde; leave out --classifier")
    if figure is not None:
        if calibration is None and outside is None:
            raise click.UsageError(
                "--figure draws what --calibration or --outside measures; give one of them"
            )
        require_figure_name(figure)


def calibration_images(name: str, images: str) -> "ImageTable":
    """Return the calibration images: a split of IMAGES if there is one of this name, or other images."""
    every = common.named_images(images)
    if name in set(every.splits):
        if Path(name).exists():
            raise click.UsageError(
                f"--calibration {name} is a split of {images} and a file or folder here; give ./{name} for "
                "the latter"
            )
        return every.where_split(name)
    table = common.named_images(name)
    if not table.class_names:
        raise click.UsageError(f"--calibration {name} has no class labels; calibration needs them")
    return table


def classify(
    batches: Iterable[tuple["Classification", ...]],
    writer: "MatchWriter | None" = None,
    *,
    with_patches: bool,
) -> tuple[list["Classification"], "NearestPatches | None"]:
    """Classify batch by batch with each memory; match tables are written to a file at once and not kept.

    Matches and nearest patches are those of the first memory.
    """
    from hueprobe.classification import Classification
    from hueprobe.trust import NearestPatches, nearest_patches

    parts, patches = [], []
    for of_memories in batches:
        first = of_memories[0]
        if writer is not None and first.matches is not None:
            writer.write(first.matches)
        if with_patches:
            patches.append(nearest_patches(first))
        parts.append(tuple(replace(part, matches=None) for part in of_memories))
    joined = NearestPatches.concatenate(patches) if with_patches else None
    results = [Classification.concatenate(of_memory) for of_memory in zip(*parts, strict=True)]
    return results or [Classification.concatenate(())], joined


def measure(
    classify_batches: "Callable[[ImageTable], Iterable[tuple[Classification, ...]]]",
    exclude: str,
    results: list["Classification"],
    patches: "NearestPatches | None",
    *,
    calibration: "ImageTable | None",
    outside: "ImageTable | None",
) -> Trust:
    """Classify calibration and outside images, and compare them with the results of each memory."""
    from hueprobe import trust
    from hueprobe.classifier import warn_of_duplicates

    def classified(table: "ImageTable", *, with_patches: bool) -> Any:
        found = classify(classify_batches(table), with_patches=with_patches)
        warn_of_duplicates(found[0][0].duplicates, exclude)
        common.report_skipped(found[0][0].skipped)
        return found

    conformal, check, known = None, None, None
    if calibration is not None:
        known, _ = classified(calibration, with_patches=False)
        conformal = trust.conformal_predictions(known, results)
        check = trust.calibration_check(known[0], results[0])
    if outside is None:
        return Trust(conformal, check)
    others, others_patches = classified(outside, with_patches=True)
    their_conformal = None if known is None else trust.conformal_predictions(known, others)
    found = trust.detect_outside(
        trust.image_scores(results[0], patches=patches, conformal=conformal),
        trust.image_scores(others[0], patches=others_patches, conformal=their_conformal),
    )
    return Trust(conformal, check, found)


def document(found: Trust) -> dict[str, Any]:
    """Return the keys `calibration` and `outside` of the JSON document; null for what was not asked for."""
    return {
        "calibration": None
        if found.conformal is None or found.check is None
        else _calibration(found.conformal, found.check),
        "outside": None if found.outside is None else _outside(found.outside),
    }


def report(found: Trust) -> None:
    """Print coverage, calibration and detection."""
    if found.conformal is not None and found.check is not None:
        _report_calibration(found.conformal, found.check)
    if found.outside is not None:
        detection = found.outside
        common.print_table(
            f"telling {len(detection.outside_images)} outside images from {len(detection.inside_images)} "
            "inside ones",
            ["score", "AUROC", "95 %", "FPR at 95 % TPR", "95 %"],
            [
                [
                    name,
                    f"{one.auroc.estimate:.3f}",
                    _bounds(one.auroc),
                    f"{one.fpr95.estimate:.3f}",
                    _bounds(one.fpr95),
                ]
                for name, one in detection.by_score.items()
            ],
        )


def draw(found: Trust, path: Path) -> list[Path]:
    """Draw what was measured, and return the files."""
    from hueprobe import plots

    figures = {}
    if found.check is not None:
        figures["calibration"] = plots.calibration_figure(found.check, found.conformal)
    if found.outside is not None:
        figures["outside"] = plots.outside_figure(found.outside)
    names = {
        name: path if len(figures) == 1 else path.with_name(f"{path.stem}-{name}{path.suffix}")
        for name in figures
    }
    for name, figure in figures.items():
        save_figure(figure, names[name])
    return list(names.values())


def _report_calibration(conformal: "ConformalPredictions", check: "CalibrationCheck") -> None:
    from hueprobe.trust.prediction_sets import LEVELS

    grouped = conformal.n_calibration_units < conformal.n_calibration
    units = f" in {conformal.n_calibration_units} groups, each counted once" if grouped else ""
    left_out = f"; {conformal.n_left_out} left out" if conformal.n_left_out else ""
    layers = f"; p-values of {conformal.n_memories} memories" if conformal.n_memories > 1 else ""
    common.say(f"calibration: {conformal.n_calibration} images{units}{left_out}{layers}")
    coverages = [conformal.coverage(level) for level in LEVELS]
    rows = []
    for one in coverages:
        expected = "-" if one.expected is None else f"{one.expected[0]:.3f}-{one.expected[1]:.3f}"
        size = f"{one.size.estimate:.2f}"
        rows.append(
            [
                f"{one.level:.0%}", f"{one.share.estimate:.3f}", _bounds(one.share), expected, size,
                f"{one.single:.1%}", f"{one.empty:.1%}",
            ]
        )  # fmt: skip
    common.print_table(
        "prediction sets",
        ["level", "coverage", "95 %", "expected in", "classes", "single", "empty"], rows,
    )  # fmt: skip
    temperature = check.temperature
    common.say(f"temperature {temperature.value.estimate:.3g} (95 % interval {_bounds(temperature.value)})")
    rows = []
    for stage in ("before", "after"):
        for binning, one in getattr(check, stage).items():
            limit = f"{one.error_if_calibrated[1]:.3f}"
            rows.append([f"{stage}, equal {binning}", f"{one.error.estimate:.3f}", _bounds(one.error), limit])
    common.print_table(
        "expected calibration error, before and after temperature scaling",
        ["bins", "error", "95 %", "limit if calibrated"], rows,
    )  # fmt: skip


def _calibration(conformal: "ConformalPredictions", check: "CalibrationCheck") -> dict[str, Any]:
    from hueprobe.trust.prediction_sets import LEVELS

    temperature, levels = check.temperature, []
    for coverage in map(conformal.coverage, LEVELS):
        levels.append(
            {
                "level": coverage.level, "n": coverage.n, "groups": coverage.n_units,
                "coverage": coverage.share.estimate, "ci95": _pair(coverage.share),
                "expected": coverage.expected, "classes": coverage.size.estimate,
                "classes_ci95": _pair(coverage.size), "single": coverage.single, "empty": coverage.empty,
            }
        )  # fmt: skip
    rows = zip(conformal.images, conformal.p_values, conformal.credibility, conformal.confidence, strict=True)
    return {
        "images": conformal.n_calibration,
        "groups": conformal.n_calibration_units,
        "left_out": conformal.n_left_out,
        "memories": conformal.n_memories,
        "levels": levels,
        "temperature": {
            "value": temperature.value.estimate, "ci95": _pair(temperature.value),
            "loss_before": temperature.loss_before, "loss_after": temperature.loss_after,
        },
        "reliability": {
            stage: {binning: _reliability(one) for binning, one in getattr(check, stage).items()}
            for stage in ("before", "after")
        },
        "predictions": [
            {
                "image": image, "credibility": credibility, "confidence": confidence,
                "p_values": dict(zip(conformal.classes, p.tolist(), strict=True)),
            }
            for image, p, credibility, confidence in rows
        ],
    }  # fmt: skip


def _reliability(found: "Reliability") -> dict[str, Any]:
    return {
        "error": found.error.estimate,
        "ci95": _pair(found.error),
        "limit_if_calibrated": found.error_if_calibrated[1],
        "bins": [
            {
                "low": found.edges[i], "high": found.edges[i + 1], "n": n, "confidence": confidence,
                "accuracy": accuracy, "ci95": [low, high],
            }
            for i, (n, confidence, accuracy, low, high) in enumerate(
                zip(found.n, found.confidence, found.accuracy, found.low, found.high, strict=True)
            )
        ],
    }  # fmt: skip


def _outside(found: "OutsideDetection") -> dict[str, Any]:
    return {
        "inside_images": len(found.inside_images),
        "outside_images": len(found.outside_images),
        "scores": {
            name: {
                "auroc": one.auroc.estimate, "auroc_ci95": _pair(one.auroc),
                "fpr95": one.fpr95.estimate, "fpr95_ci95": _pair(one.fpr95), "threshold": one.threshold,
                "inside": one.inside, "outside": one.outside,
            }
            for name, one in found.by_score.items()
        },
        "images": list(found.outside_images),
    }  # fmt: skip


def _pair(found: "Interval") -> list[float]:
    return [found.low, found.high]


def _bounds(found: "Interval") -> str:
    return f"{common.number(found.low, '.3f')}-{common.number(found.high, '.3f')}"
