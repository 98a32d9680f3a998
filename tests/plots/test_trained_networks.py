"""What trained networks were observed to have, drawn."""

import numpy as np
import pytest

from hueprobe import plots
from hueprobe.errors import InputError
from hueprobe.studies.comparison.trained_networks import Measured, TrainedObservation, summarize_measures


@pytest.fixture
def summaries():
    rng = np.random.default_rng(0)

    def observation(loss):
        names = ["class positions", "full direction", *(["angle, head's plane"] if loss == "hue:eq5" else [])]
        numbers = {name: Measured(estimate=rng.random(), low=0, high=1) for name in names}
        return TrainedObservation(part="test", n_images=9, grid=(2, 2), numbers=numbers)

    found = {(loss, 1e-3, seed): [observation(loss)] for loss in ("onehot", "hue:eq5") for seed in range(6)}
    return summarize_measures(found, baseline="onehot")


def test_a_panel_a_measure_shows_means_intervals_and_p(summaries):
    ax = plots.loss_measure([found for found in summaries if found.measure == "full direction"])
    plain, hue = (found for found in summaries if found.measure == "full direction")
    assert ax.lines[0].get_xdata() == pytest.approx([plain.mean.low, plain.mean.high])
    assert ax.lines[2].get_xdata()[0] == plain.mean.estimate  # the dashed line
    assert [text.get_text() for text in ax.texts] == ["n = 6", f"n = 6, p = {hue.p:.2g}"]
    figure = plots.measure_figure(summaries)
    shown = [ax.get_title() for ax in figure.axes if ax.get_visible()]
    assert shown == ["class positions", "angle, head's plane", "full direction"]
    for ax in figure.axes[:3]:  # the same rows everywhere
        assert [label.get_text() for label in ax.get_yticklabels()] == ["onehot", "hue:eq5"]
    assert [text.get_text() for text in figure.axes[1].texts] == ["n = 6", "has none"]


def test_what_could_not_be_measured_is_said_in_its_row():
    stay = "stay-put, same less other"
    seen = {
        (loss, 1e-3, 0): [
            TrainedObservation(
                part="test", n_images=9, grid=(2, 2),
                numbers={stay: Measured(estimate=value, low=value, high=value + value)},
            )
        ]
        for loss, value in (("onehot", 0.0), ("hue:eq5", 0.25))
    }  # fmt: skip
    ax = plots.loss_measure(summarize_measures(seen, baseline="onehot"))
    assert [text.get_text() for text in ax.texts] == ["not measurable", "n = 0", "n = 1, no interval"]


def test_nothing_and_too_much_are_refused(summaries):
    with pytest.raises(InputError, match="nothing to draw"):
        plots.measure_figure([])
    with pytest.raises(InputError, match="3 measures in one panel"):
        plots.loss_measure(summaries)
