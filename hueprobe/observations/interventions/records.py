"""Interventions as JSON records and as rows of tables."""

from typing import Any

import numpy as np

from hueprobe.observations.interventions.doses import Dose, DoseResponse
from hueprobe.observations.interventions.separation import PARTS, Part, Separation
from hueprobe.observations.table import Row
from hueprobe.stats.intervals import Interval

_OF_A_DOSE = ("as_is", "content", "network", "moved")


def separation_record(found: Separation) -> dict[str, Any]:
    """Return what one estimator gave."""
    axes = None
    if found.major is not None and found.minor is not None:
        axes = {
            "angle": float(np.degrees(found.major_angle)),
            "major": interval_record(found.major),
            "minor": interval_record(found.minor),
        }
    return {
        "classes": found.classes,
        "left_out": found.left_out,
        "images": found.n_images,
        "per_class": found.n_per_class,
        "undecided": found.undecided,
        **{
            part: {
                **_part_record(getattr(found, part)),
                "detectable": found.detectable[part],
                "image_sd": found.image_sd[part],
            }
            for part in PARTS
        },
        "axes": axes,
        "network_share": interval_record(found.network_share),
    }


def response_record(response: DoseResponse, content_cells: Interval) -> dict[str, Any]:
    """Return the response of one estimator to the planted doses."""
    doses = [
        {
            "pixels": dose.pixels,
            "cells": dose.cells,
            **{name: interval_record(getattr(dose, name)) for name in _OF_A_DOSE},
        }
        for dose in response.doses
    ]
    return {
        "slope": [interval_record(one) for one in response.slope],
        "network_slope": [interval_record(one) for one in response.network_slope],
        "content_in_cells_of_content": interval_record(content_cells),
        "doses": doses,
    }


def interval_record(found: Interval) -> dict[str, Any]:
    """Return an interval; with p only where it has a test of its own."""
    record: dict[str, Any] = {"estimate": found.estimate, "ci95": [found.low, found.high]}
    return record if found.p_value is None else {**record, "p": found.p_value}


def _part_record(part: Part) -> dict[str, Any]:
    return {
        "effect": interval_record(part.effect),
        "u": interval_record(part.u),
        "v": interval_record(part.v),
        "vectors": part.vectors,
        "low": part.low,
        "high": part.high,
        "class_p": part.class_p,
    }


def vector_rows(classes: tuple[str, ...], part: Part) -> list[Row]:
    """Return the vector of each class with its interval and p."""
    rows: list[Row] = []
    for i, label in enumerate(classes):
        (u, v), low, high = part.vectors[i].tolist(), part.low[i].tolist(), part.high[i].tolist()
        rows.append(
            {
                "class": label, "u": u, "u low": low[0], "u high": high[0], "v": v, "v low": low[1],
                "v high": high[1], "p (Holm)": float(part.class_p[i]),
            }
        )  # fmt: skip
    return rows


def dose_row(dose: Dose) -> Row:
    """Return the distances at a dose and how far it moved class positions, each with its interval."""
    row: dict[str, Any] = {"pixels": dose.pixels, "cells": dose.cells}
    for name in _OF_A_DOSE:
        found: Interval = getattr(dose, name)
        row |= {name: found.estimate, f"{name} low": found.low, f"{name} high": found.high}
    return row
