"""Plots of verdicts, each claim's effect against its null, and of rejection rates under true nulls."""

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from hueprobe.arguments import takes
from hueprobe.errors import InputError
from hueprobe.observations.verdicts.claims import CLAIMS
from hueprobe.observations.verdicts.findings import (
    DOES_NOT_HOLD,
    HOLDS,
    NOT_MEASURABLE,
    TOO_LITTLE,
    TOO_SMALL,
)
from hueprobe.observations.verdicts.rules import DISAGREE, NOT_IDENTIFIED, NOT_RUN, Verdict
from hueprobe.observations.verdicts.selftest import NOMINAL, RejectionRate
from hueprobe.plots.style import GRAY, INK, OTHER, PAGE, SAME, composing, drawing, shortened

# Color, marker and fill: distinguishable in grayscale, too.
_LOOKS = {
    HOLDS: (SAME, "o", SAME), TOO_SMALL: (OTHER, "s", "white"), DOES_NOT_HOLD: (OTHER, "D", OTHER),
    NOT_IDENTIFIED: (GRAY, "X", GRAY), DISAGREE: (GRAY, "^", "white"), TOO_LITTLE: (GRAY, "o", "white"),
    NOT_RUN: (GRAY, "P", "white"), NOT_MEASURABLE: (GRAY, ".", GRAY),
}  # fmt: skip
_CLAIMED = "#EDF3F8"


@takes(Verdict, several=True)
def verdict_figure(verdicts: Sequence[Verdict], *, columns: int = 2) -> Figure:
    """Draw all verdicts, with one panel per claim and one row per memory.

    Parameters
    ----------
    verdicts : sequence of Verdict
        Verdicts on one memory or several.
    columns : int, default=2
        Panels per row.

    Returns
    -------
    Figure
        A new figure, not managed by pyplot.

    Raises
    ------
    InputError
        The sequence is empty.

    See Also
    --------
    hueprobe.plots.verdict_forest : One claim.

    Examples
    --------
    >>> energy = hp.observations.energy.measure(memory.energy(), memory.grid)
    >>> figure = hp.plots.verdict_figure(energy.claims())
    >>> [ax.get_title() for ax in figure.axes]
    ['1a centre', '1b symmetry']
    """
    if not verdicts:
        raise InputError("no verdicts to draw; give at least one")
    present = {verdict.id for verdict in verdicts}
    claims = [claim for claim in CLAIMS if claim in present]
    memories = list(dict.fromkeys(verdict.memory for verdict in verdicts))
    columns = min(columns, len(claims))
    n_rows = -(-len(claims) // columns)
    with composing(PAGE * max(columns, 1) / 2, n_rows * (0.68 + 0.17 * len(memories)) + 0.3) as figure:
        axes = figure.subplots(n_rows, columns, squeeze=False).ravel()
        for i, (ax, claim) in enumerate(zip(axes, claims, strict=False)):
            verdict_forest([v for v in verdicts if v.id == claim], memories=memories, legend=False, ax=ax)
            if i % columns:
                ax.tick_params(labelleft=False)
        for ax in axes[len(claims) :]:
            ax.set_visible(False)
        handles = _handles(verdicts)
        figure.legend(handles=handles, loc="outside lower center", ncols=min(len(handles), 4))
    return figure


@takes(Verdict, several=True)
def verdict_forest(
    verdicts: Sequence[Verdict],
    *,
    memories: Sequence[str] | None = None,
    legend: bool = True,
    ax: Axes | None = None,
) -> Axes:
    """Draw one claim's effect in each memory with its 95 % interval, against the null (dotted).

    The claimed side is shaded. If a claim needs several findings, the one that decides is drawn. Color and
    shape show the verdict.

    Parameters
    ----------
    verdicts : sequence of Verdict
        Verdicts on one claim.
    memories : sequence of str, optional
        Names of the memories, one row each, from the top; those of the verdicts by default.
    legend : bool, default=True
        Draw a legend of the verdicts above the Axes.
    ax : Axes, optional
        Where to draw; a new figure's Axes by default.

    Returns
    -------
    Axes
        The Axes drawn into.

    Raises
    ------
    InputError
        There is no verdict, or there are several claims.

    See Also
    --------
    hueprobe.plots.verdict_figure : All claims in one figure.

    Examples
    --------
    >>> energy = hp.observations.energy.measure(memory.energy(), memory.grid)
    >>> ax = hp.plots.verdict_forest(energy.claims()[:1])
    >>> ax.get_title(), ax.get_xlabel()
    ('1a centre', 'effect (ratio)')
    """
    claims = list(dict.fromkeys(verdict.id for verdict in verdicts))
    if len(claims) != 1:
        raise InputError(
            f"verdicts on {len(claims)} claims ({', '.join(claims) or 'none'}) for one panel; give those on "
            "one claim, or use verdict_figure"
        )
    memories = memories or list(dict.fromkeys(verdict.memory for verdict in verdicts))
    null = verdicts[0].claim.null
    with drawing(ax, height=1.0 + 0.17 * len(memories)) as ax:
        for verdict in verdicts:
            row, (color, marker, face) = memories.index(verdict.memory), _LOOKS[verdict.verdict]
            if math.isnan(verdict.effect):
                across = ax.get_yaxis_transform()  # x as a share of the Axes
                ax.text(
                    0.5, row, f"not measurable (n = {verdict.n:,})", transform=across, ha="center",
                    va="center", color=INK, backgroundcolor="white",
                )  # fmt: skip
                continue
            ax.plot(verdict.ci95, [row, row], color=color)
            ax.plot(verdict.effect, row, marker, color=color, markerfacecolor=face, zorder=3)
            ax.annotate(
                f"n = {verdict.n:,}", (1, row), xycoords=("axes fraction", "data"), xytext=(4, 0),
                textcoords="offset points", va="center", fontsize=6.5,
            )  # fmt: skip
        low, high = _limits(verdicts, null)
        claimed = (null, high) if verdicts[0].claim.side > 0 else (low, null)
        ax.axvspan(*claimed, color=_CLAIMED, zorder=-1, linewidth=0)
        ax.axvline(null, color=GRAY, linewidth=0.8, linestyle=":", zorder=0)
        ax.set_yticks(range(len(memories)), [shortened(memory, 24) for memory in memories])
        ax.xaxis.set_major_locator(MaxNLocator(5))
        ax.set(
            xlim=(low, high), ylim=(len(memories) - 0.4, -0.6), xlabel=f"effect ({verdicts[0].claim.unit})"
        )
        ax.set_title(claims[0], pad=16 if legend else None)
        if legend:
            handles = _handles(verdicts)
            ax.legend(handles=handles, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=len(handles))
    return ax


@takes(RejectionRate, several=True)
def rejection_rates(
    rates: Sequence[RejectionRate], *, level: float = NOMINAL, ax: Axes | None = None
) -> Axes:
    """Draw how often tests rejected, with exact binomial intervals, against their nominal level (dotted).

    Parameters
    ----------
    rates : sequence of RejectionRate
        For example from `hueprobe.studies.run_self_test`.
    level : float, default=0.05
        Nominal level of the tests.
    ax : Axes, optional
        Where to draw; a new figure's Axes by default.

    Returns
    -------
    Axes
        The Axes drawn into.

    Raises
    ------
    InputError
        The sequence is empty.

    See Also
    --------
    hueprobe.studies.run_self_test : Measure the rates on a memory.

    Examples
    --------
    >>> def coin(classes, seed):
    ...     return {"coin": np.random.default_rng(seed).random()}
    >>> rates = hp.observations.verdicts.self_test(memory.image_class, coin, n_draws=20, seed=0)
    >>> ax = hp.plots.rejection_rates(rates)
    >>> ax.get_xlabel()
    'share of true nulls rejected at 0.05'
    """
    if not rates:
        raise InputError("no rejection rates to draw; give at least one")
    with drawing(ax, height=0.8 + 0.2 * len(rates)) as ax:
        ax.axvline(level, color=GRAY, linewidth=0.8, linestyle=":", zorder=0)
        for row, found in enumerate(rates):
            if not found.n:
                across = ax.get_yaxis_transform()
                ax.text(0.5, row, "not measurable", transform=across, ha="center", va="center", color=INK)
                continue
            ax.plot(found.ci95, [row, row], color=SAME)
            ax.plot(found.rate, row, "o", color=SAME)
        ax.set_yticks(range(len(rates)), [f"{shortened(found.test, 28)}, n = {found.n}" for found in rates])
        ax.set(
            xlim=(0, None), ylim=(len(rates) - 0.5, -0.5),
            xlabel=f"share of true nulls rejected at {level:g}",
        )  # fmt: skip
    return ax


def _limits(verdicts: Sequence[Verdict], null: float) -> tuple[float, float]:
    """Return the limits of the x axis: all finite values and the null, with a margin on both sides."""
    ends = [null, *(end for verdict in verdicts for end in (verdict.effect, *verdict.ci95))]
    known = [end for end in ends if math.isfinite(end)]
    room = 0.08 * (max(known) - min(known)) or 0.1
    return min(known) - room, max(known) + room


def _handles(verdicts: Sequence[Verdict]) -> list[Line2D]:
    """Return an entry of the legend for each verdict that is drawn."""
    present = {verdict.verdict for verdict in verdicts}
    return [
        Line2D([], [], color=color, marker=marker, markerfacecolor=face, label=verdict)
        for verdict, (color, marker, face) in _LOOKS.items()
        if verdict in present
    ]
