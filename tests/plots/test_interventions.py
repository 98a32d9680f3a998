"""Figures of interventions show the vectors, distances and doses that were measured."""

import numpy as np
import pytest

from hueprobe import plots
from hueprobe.errors import InputError
from hueprobe.observations.interventions import Planted, measure, simulate
from hueprobe.observations.interventions.doses import class_displacements

ANGLES = 2 * np.pi * np.arange(4) / 4
CONTENT = 0.5 * np.stack([np.cos(ANGLES), np.sin(ANGLES)], axis=1)
NETWORK = CONTENT[::-1] / 3


@pytest.fixture(scope="module")
def found():
    base = simulate(CONTENT, NETWORK, n_images=20, seed=0, n_deals=3, flips="e,h,r")
    planted = []
    for pixels in (16, 32):
        away = class_displacements(4, pixels) / 32
        moved = simulate(
            CONTENT + 0.5 * away, CONTENT[::-1] / 3, n_images=20, seed=0, n_deals=3, flips="e,h,r"
        )
        planted.append(Planted(pixels, away, moved))
    return measure(base, planted=planted, n_permutations=199)


def test_vectors_of_both_parts_on_one_scale(found):
    figure = plots.class_vectors(found)
    content, network = figure.axes
    energy = found.separations["energy"]
    for ax, part in ((content, energy.content), (network, energy.network)):
        ends = [line.get_xydata() for line in ax.lines if len(line.get_xydata()) == 1]
        np.testing.assert_allclose(np.concatenate(ends), part.vectors)
        arrows = [line.get_xydata() for line in ax.lines if line.get_linewidth() == 1.0]
        np.testing.assert_allclose([arrow[0] for arrow in arrows if len(arrow) == 2], np.zeros((4, 2)))
        assert f"{part.effect.estimate:.2f}" in ax.get_title()
    assert content.get_xlim() == network.get_xlim() == content.get_ylim()
    assert content.get_ylabel() == "v, upwards (cells)"
    with pytest.raises(InputError, match="unknown estimator 'plain'"):
        plots.class_vectors(found, estimator="plain")


def test_distances_with_their_intervals(found):
    ax = plots.intervention_effects(found)
    labels = [tick.get_text() for tick in ax.get_yticklabels()]
    assert labels[:2] == ["as is", "content-locked"] and "minor axis" in labels
    assert any(label.startswith("major axis, ") for label in labels)
    row = labels.index("network-locked")
    spans = [
        line.get_xdata() for line in ax.lines if len(line.get_xdata()) == 2 and line.get_ydata()[0] == row
    ]
    effect = found.separations["energy"].network.effect
    assert any(np.allclose(span, [effect.low, effect.high]) for span in spans)


def test_doses_with_the_fitted_slopes(found):
    left, right = plots.dose_response(found).axes
    response = found.responses["energy"]
    lines = {line.get_label(): line for line in left.lines if str(line.get_label()).startswith("slope")}
    assert len(lines) == 2
    for line, slope in zip(lines.values(), response.slope, strict=True):
        x, y = line.get_data()
        assert y[-1] / x[-1] == pytest.approx(slope.estimate)
    texts = [text.get_text() for text in right.get_legend().get_texts()]
    assert texts == ["as is", "content-locked", "network-locked"]


def test_what_cannot_be_drawn_says_so():
    mirror = measure(
        simulate(CONTENT, 0 * CONTENT, n_images=20, seed=0, n_deals=2, flips="e,h"), n_permutations=99
    )
    with pytest.raises(InputError, match="no class has a vector in both coordinates"):
        plots.class_vectors(mirror)
    with pytest.raises(InputError, match="no image was moved"):
        plots.dose_response(mirror)
    assert plots.intervention_effects(mirror).get_xlabel() == "distance between classes (cells)"


def test_all_figures_of_a_result(found):
    assert set(plots.figures(found)) == {"class_vectors", "effects", "dose_response"}
