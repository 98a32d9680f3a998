"""The report of a training comparison: a page and tables."""

import csv
import io
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from hueprobe.files import written_whole
from hueprobe.stats.intervals import Interval
from hueprobe.stats.over_seeds import estimate_text, p_text
from hueprobe.studies.comparison.loss_comparison import LossSummary, compare_observed
from hueprobe.studies.comparison.loss_run import LossRun
from hueprobe.studies.comparison.trained_networks import MEASURES, MeasureSummary

COLUMNS = (
    "loss", "learning_rate", "seeds", "accuracy", "low", "high", "difference", "difference_low",
    "difference_high", "p", "p_holm", "primary", "seconds_ratio", "memory_ratio", "extra_parameters",
    "epochs_to_95",
)  # fmt: skip
OBSERVED_COLUMNS = (
    "measure", "loss", "learning_rate", "seeds", "mean", "low", "high", "difference", "difference_low",
    "difference_high", "p",
)  # fmt: skip


def write_comparison(
    runs: Sequence[LossRun],
    summaries: Sequence[LossSummary],
    folder: str | Path,
    *,
    figures: Sequence[str] = (),
) -> list[Path]:
    """Write `comparison.md`, `comparison.csv`, `curves.csv` and, if networks were observed, `observed.csv`.

    Parameters
    ----------
    runs : sequence of LossRun
        Runs of the comparison.
    summaries : sequence of LossSummary
        Summaries of these runs from `compare_losses`.
    folder : str or Path
        Existing folder.
    figures : sequence of str, default=()
        File names of figures in the folder that the page should show.

    Returns
    -------
    list of Path
        The files written.

    See Also
    --------
    hueprobe.studies.compare_losses : Make the summaries.

    Examples
    --------
    >>> files = hp.studies.write_comparison(runs, hp.studies.compare_losses(runs), ".")
    >>> [path.name for path in files]
    ['comparison.csv', 'curves.csv', 'comparison.md', 'observed.csv']
    """
    robust = list(dict.fromkeys(name for found in summaries for name in found.robustness))
    rows = [
        [*_columns(found), *(found.robustness[n].estimate if n in found.robustness else "" for n in robust)]
        for found in summaries
    ]
    texts = {
        "comparison.csv": _csv((*COLUMNS, *robust), rows),
        "curves.csv": _csv(
            ("loss", "seed", "fold", "learning_rate", "epoch", "test_accuracy", "train_loss", "share"),
            _curves(runs),
        ),
        "comparison.md": _page(runs, summaries, figures),
    }
    if measures := compare_observed(runs):
        texts["observed.csv"] = _csv(OBSERVED_COLUMNS, [_measure_columns(found) for found in measures])
    for name, text in texts.items():
        with written_whole(Path(folder) / name) as file:
            file.write(text.encode())
    return [Path(folder) / name for name in texts]


def _columns(found: LossSummary) -> list[Any]:
    nan = float("nan")
    gain = found.difference or Interval(nan, nan, nan, nan, nan)
    return [
        found.loss, found.learning_rate, found.n_seeds, found.accuracy.estimate, found.accuracy.low,
        found.accuracy.high, gain.estimate, gain.low, gain.high, found.p, found.p_holm, found.primary,
        found.seconds_ratio, found.memory_ratio, found.n_extra, found.epochs_to_95,
    ]  # fmt: skip


def _measure_columns(found: MeasureSummary) -> list[Any]:
    nan = float("nan")
    gain = found.difference or Interval(nan, nan, nan, nan, nan)
    return [
        found.measure, found.loss, found.learning_rate, found.n_seeds, found.mean.estimate, found.mean.low,
        found.mean.high, gain.estimate, gain.low, gain.high, found.p,
    ]  # fmt: skip


def _curves(runs: Iterable[LossRun]) -> Iterable[tuple[Any, ...]]:
    for run in runs:
        for i, (accuracy, loss) in enumerate(zip(run.curve, run.train_loss, strict=True)):
            share = run.shares[i] if run.shares else ""
            yield run.loss, run.seed, run.fold, run.learning_rate, i + 1, accuracy, loss, share


def _csv(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([["" if value != value else value for value in row] for row in rows])
    return text.getvalue()


def _page(runs: Sequence[LossRun], summaries: Sequence[LossSummary], figures: Sequence[str]) -> str:
    lines = [
        "# Training losses compared",
        "",
        "Test accuracy after the last epoch, mean over seeds with its 95 % interval; difference to one-hot "
        "with the same seeds; p by exact sign-flip, corrected by Holm except the primary contrast (bold). "
        "Intervals are Student's over seeds; those of bounded numbers are computed on the logit and stay "
        "within the bounds.",
        "",
        "| loss | rate | seeds | accuracy | less one-hot | p | Holm | s/step | memory | extra | 95 % at |",
        "|" + "---|" * 11,
    ]
    for found in summaries:
        name = f"**{found.loss}**" if found.primary else found.loss
        difference = estimate_text(found.difference, sign="+")
        lines.append(
            f"| {name} | {found.learning_rate:g} | {found.n_seeds} "
            f"| {estimate_text(found.accuracy)} | {difference} "
            f"| {p_text(found.p, found.difference)} | {p_text(found.p_holm, found.difference)} "
            f"| {_number(found.seconds_ratio)} "
            f"| {_number(found.memory_ratio)} | {found.n_extra} | {found.epochs_to_95:.1f} |"
        )
    if any(found.n_seeds < 6 for found in summaries):
        lines += ["", "With fewer than 6 seeds no exact p-value can be below 0.05."]
    lines += _observed_part(runs)
    lines += ["", *(f"![{name}]({name})" for name in figures)]
    return "\n".join(lines).rstrip() + "\n"


def _observed_part(runs: Sequence[LossRun]) -> list[str]:
    """Return lines on the observations of the trained networks, and why a part was left out."""
    seen = [run.observed for run in runs if run.observed is not None]
    if not seen:
        return []
    lines = ["", "## Observations 3 to 5 with the trained networks", ""]
    measures = compare_observed(runs)
    if measures:
        some = next(one for one in seen if one.numbers)
        lines += [
            f"On {max(one.n_images for one in seen)} {some.part} images, in leave-one-out, on a grid of "
            f"{some.grid[0]} x {some.grid[1]}; mean over seeds with its 95 % interval, difference to "
            "one-hot with the same seeds, p by exact sign-flip, not corrected for the number of measures.",
            "",
            "| measure | loss | rate | seeds | mean | less one-hot | p |",
            "|" + "---|" * 7,
        ]
        for found in measures:
            gain = estimate_text(found.difference, sign="+")
            lines.append(
                f"| {found.measure} | {found.loss} | {found.learning_rate:g} | {found.n_seeds} "
                f"| {estimate_text(found.mean)} | {gain} | {p_text(found.p, found.difference)} |"
            )
        shown = {found.measure for found in measures}
        lines += ["", *(f"- {name}: {told}." for name, told in MEASURES.items() if name in shown)]
    notes = Counter(note for one in seen for note in one.notes)
    return lines + [""] * bool(notes) + [f"- Left out in {n} runs: {note}" for note, n in notes.items()]


def _number(value: float) -> str:
    return "" if value != value else f"{value:.3g}"
