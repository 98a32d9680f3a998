"""Training losses compared, drawn."""

import numpy as np
import pytest

from hueprobe import plots
from hueprobe.errors import InputError
from hueprobe.studies import LossRun, compare_curves, compare_losses

LOSSES = ("onehot", "hue:eq5", "hue:chord", "hue:l2", "smooth", "al2")
PERTURBED = (("blur", 1), ("blur", 2), ("noise", 1), ("noise", 2))


def runs_of(losses):
    rng = np.random.default_rng(0)
    return [
        LossRun(
            loss=loss, seed=seed, fold="", learning_rate=1e-3, n_right=int(rng.integers(60, 80)), n_test=100,
            curve=tuple(rng.random(4)), train_loss=(1.0,), shares=(), seconds_per_step=1.0, saved_bytes=9,
            n_parameters=5, n_extra=0,
            robustness={f"{kind} {level}": 50 - 9 * level + seed for kind, level in PERTURBED},
        )
        for loss in losses
        for seed in range(3)
    ]  # fmt: skip


def test_robustness_has_a_part_a_perturbation_and_an_interval_a_point():
    summaries = compare_losses(runs_of(LOSSES[:2]))
    ax = plots.loss_robustness(summaries)
    assert [text.get_text() for text in ax.texts] == ["blur", "noise"]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["0", "1", "2"] * 2
    points = [line for line in ax.lines if line.get_marker() == "o"]
    bars = [line for line in ax.lines if line.get_marker() != "o" and len(set(line.get_ydata())) > 1]
    assert len(points) == 4 and [line.get_label() for line in points[::2]] == ["onehot", "hue:eq5"]
    for found, blur, noise in zip(summaries, points[::2], points[1::2], strict=True):
        for kind, line in (("blur", blur), ("noise", noise)):
            expected = [found.accuracy, found.robustness[f"{kind} 1"], found.robustness[f"{kind} 2"]]
            assert line.get_ydata() == pytest.approx([at.estimate for at in expected])
            for place, at in zip(line.get_xdata(), expected, strict=True):
                (bar,) = [bar for bar in bars if bar.get_xdata()[0] == place]
                assert bar.get_ydata() == pytest.approx([at.low, at.high])
    ticks = ax.get_xticks().reshape(2, 3)
    assert np.abs(points[0].get_xdata() - ticks[0]).max() < 0.5  # beside its own level
    assert np.abs(points[1].get_xdata() - ticks[1]).max() < 0.5
    with pytest.raises(InputError, match="perturbed"):
        plots.loss_robustness([])


@pytest.mark.parametrize("n_losses", [2, 6])
def test_a_legend_hides_no_curve(n_losses):
    ax = plots.loss_curves(compare_curves(runs_of(LOSSES[:n_losses])))
    ax.figure.canvas.draw()
    legend, axis = ax.get_legend().get_window_extent(), ax.get_window_extent()
    assert (legend.y1 <= axis.y0) == (n_losses > 5)
