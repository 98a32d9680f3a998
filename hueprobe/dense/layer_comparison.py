"""Comparison of layers on the same images: differences of scores, paired by image, and saved ones read."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hueprobe.dense.intervals import percentile_interval, resampled_sums
from hueprobe.dense.layer_scores import (
    LAYERS_FORMAT,
    METRICS,
    NEAREST,
    LayerRow,
    LayerScores,
    ScoreDifference,
)
from hueprobe.dense.protocols import protocol_of
from hueprobe.dense.scores import Scores, mean_scores, scores_of_counts
from hueprobe.dense.segmentation import SegmentSettings
from hueprobe.errors import InputError
from hueprobe.stats.intervals import unit_codes


def compare_layers(
    rows: Sequence[tuple[str, str, tuple[int, int], int, Scores]],
    reference: str,
    *,
    groups: Sequence[str | None],
    settings: SegmentSettings,
) -> LayerScores:
    """Return the scores of layers with the differences to a reference layer.

    Parameters
    ----------
    rows : sequence of (str, str, (int, int), int, Scores)
        Layer, method, grid, number of channels and scores. All scores are of the same images.
    reference : str
        Layer whose label transfer is subtracted.
    groups : sequence of (str or None)
        Group of each image.
    settings : SegmentSettings
        How images were segmented.
    """
    of = mean_scores(absent_as_zero=protocol_of(settings.protocol).absent_as_zero)
    codes = unit_codes(tuple(groups) if settings.by_group else None, len(groups))

    def resampled(scores: Scores) -> dict[str, np.ndarray]:
        labeled = scores.confusion.sum(axis=(1, 2)) > 0
        confusion, boundaries = (
            resampled_sums(
                counts[labeled], codes[labeled], n_resamples=settings.n_resamples, seed=settings.seed
            )
            for counts in (scores.confusion, scores.boundaries)
        )
        return {name: values(confusion, boundaries) for name, values in of.items()}

    (base,) = [scores for layer, method, *_, scores in rows if (layer, method) == (reference, NEAREST)]
    of_base = resampled(base)
    found = []
    for layer, method, grid, n_channels, scores in rows:
        difference = None
        if scores is not base:
            drawn = resampled(scores)
            difference = ScoreDifference(
                **{
                    name: percentile_interval(
                        getattr(scores, name).estimate - getattr(base, name).estimate,
                        drawn[name] - of_base[name],
                        base.n_units,
                    )
                    for name in METRICS
                }
            )
        found.append(LayerRow(layer, method, grid, n_channels, scores, difference))
    return LayerScores(tuple(found), reference, tuple(groups), settings)


def read_layer_scores(path: str | Path) -> LayerScores:
    """Read scores by layer that were saved.

    Parameters
    ----------
    path : path
        File of `LayerScores.save`.

    Returns
    -------
    LayerScores

    Raises
    ------
    InputError
        The file is not such a file, or is damaged.

    See Also
    --------
    hueprobe.dense.LayerScores.save : Write one.

    Examples
    --------
    >>> both = hp.build_memories(
    ...     "m", "images", masks="masks", backbone=network, layers=["1", "3"], transform=transform
    ... )
    >>> options = {"masks": "other_masks", "backbone": network, "transform": transform}
    >>> hp.dense.segment_layers(both, "others", **options).scores.save("layers.npz")
    >>> read_layer_scores("layers.npz").reference
    '3'
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in ("header", "confusion", "boundaries")}
        header = json.loads(arrays["header"].tobytes())
        if header["format"] != LAYERS_FORMAT:
            raise ValueError(f"its format is {header['format']!r}")
        settings, groups = SegmentSettings(**header["settings"]), tuple(header["groups"])
        rows = []
        for i, row in enumerate(header["rows"]):
            scores = scores_of_counts(
                arrays["confusion"][i], arrays["boundaries"][i], tuple(header["label_names"]),
                assigned=tuple(row["assigned"]), groups=groups if settings.by_group else None,
                n_resamples=settings.n_resamples, seed=settings.seed,
                absent_as_zero=protocol_of(settings.protocol).absent_as_zero,
            )  # fmt: skip
            rows.append((row["layer"], row["method"], tuple(row["grid"]), row["n_channels"], scores))
        return compare_layers(rows, header["reference"], groups=groups, settings=settings)
    except FileNotFoundError:
        raise InputError(f"{path} does not exist; give a file that LayerScores.save wrote") from None
    except Exception as error:
        text = " ".join(str(error).split()) or type(error).__name__
        raise InputError(
            f"{path} holds no scores by layer ({text}); give a file of LayerScores.save"
        ) from error
