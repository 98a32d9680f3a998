"""Observation 3 in images: where in the image plane matches land."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from hueprobe.arguments import takes
from hueprobe.errors import InputError, require_choice
from hueprobe.observations.locations.maps import Locations
from hueprobe.plots.maps import (
    bar_share,
    cell_map,
    class_ids,
    label_outer,
    map_name,
    map_size,
    profile_line,
    ratio_colorbar,
    ratio_norm,
    small_multiples,
    title_map,
    uniform_line,
)
from hueprobe.plots.style import (
    COLUMN,
    OTHER,
    RATIO,
    SAME,
    SEQUENTIAL,
    SIDES,
    colorbar,
    composing,
    drawing,
    measurable,
)

_UNIT = "p(x, y), multiple of the base rate"
_SHARE = "share of same-class matches"


@takes(Locations)
def match_locations(result: Locations) -> Figure:
    """Draw p(x, y) of same-class and of other-class matches side by side, on one scale.

    Densities are divided by the base rate, so 1 (white) is where matches land as often as by chance.
    Without labels there is one map, of all matches.

    Parameters
    ----------
    result : Locations
        From `hueprobe.observations.locations.maps`.
    """
    kinds = ("same", "other") if result.n_same + result.n_other else ("all",)
    norm = ratio_norm([_ratio(result, kind) for kind in kinds])
    with composing(COLUMN if len(kinds) == 1 else 4.6, 2.45) as figure:
        axes = small_multiples(figure, len(kinds), columns=2)
        for ax, kind in zip(axes, kinds, strict=True):
            location_map(result, kind, vmax=norm.vmax, show_colorbar=False, ax=ax)
            ax.set_title("\n".join((*_title(result, kind).split(", ", 1), _count(result, kind))))
        label_outer(axes, columns=2)
        ratio_colorbar(axes[0].images[0], axes, _UNIT, shrink=0.8)
    return figure


@takes(Locations)
def location_map(
    result: Locations, kind: str = "same", *, vmax: float | None = None, show_colorbar: bool = True,
    ax: Axes | None = None,
) -> Axes:  # fmt: skip
    """Draw p(x, y) of one kind of matches over the base rate.

    Parameters
    ----------
    result : Locations
    kind : {"same", "other", "all"}
        Same-class matches, other-class matches, or all.
    vmax : float, optional
        Upper end of the color scale, above 1; give the same to maps that are to be compared.
    show_colorbar : bool
    ax : Axes, optional
    """
    require_choice("kind of matches", kind, SIDES)
    ratio = _ratio(result, kind)
    with drawing(ax) as ax:
        image = cell_map(ratio, ax, cmap=RATIO, norm=ratio_norm([ratio], vmax=vmax))
        ax.set_title(f"{_title(result, kind)}\n{_count(result, kind)}")
        if show_colorbar:
            ratio_colorbar(image, ax, _UNIT)
    return ax


@takes(Locations)
def class_locations(
    result: Locations, *, kind: str = "same", classes: Sequence[str] | None = None, columns: int = 5
) -> Figure:
    """Draw p(x, y) over the base rate for the queries of each class, on one scale.

    Parameters
    ----------
    result : Locations
    kind : {"same", "other"}
        Matches of the query's class, or of other classes.
    classes : sequence of str, optional
        Names to show; all by default.
    columns : int
        Maps in a row.

    Raises
    ------
    InputError
        A name is unknown, or there are no classes.
    """
    require_choice("kind of matches", kind, ("same", "other"))
    shown = class_ids(result.classes, classes)
    density = result.class_same if kind == "same" else result.class_other
    ratios = _over(density[shown], result.base)
    norm = ratio_norm([ratios])
    columns = min(columns, len(shown))
    with composing(*map_size(len(shown), columns)) as figure:
        axes = small_multiples(figure, len(shown), columns=columns)
        for ax, c, ratio in zip(axes, shown, ratios, strict=True):
            image = cell_map(ratio, ax, cmap=RATIO, norm=norm)
            n = result.positions.n_images[c]
            title = f"{n} images" if kind == "same" else "other classes"
            title_map(ax, map_name(result.classes[c], columns), title)
        label_outer(axes, columns=columns)
        ratio_colorbar(image, axes, _UNIT, shrink=bar_share(len(shown), columns))
    return figure


@takes(Locations)
def match_profile(result: Locations, *, ax: Axes | None = None) -> Axes:
    """Draw matches by distance from the center, over the base rate, with 95 % pigeonhole intervals.

    Parameters
    ----------
    result : Locations
    ax : Axes, optional
    """
    with drawing(ax, height=2.9) as ax:
        for kind, profile, color, style in (
            ("same", result.profile_same, SAME, "-"),
            ("other", result.profile_other, OTHER, "--"),
        ):
            label = f"{_title(result, kind)}, {_count(result, kind)}"
            profile_line(profile, ax, color=color, label=label, linestyle=style)
        uniform_line(ax)
        ax.set(
            xlabel="distance from the center (cells)",
            ylabel="matches, multiple of the base rate",
            ylim=(0, None), title="bands: 95 % intervals",
        )  # fmt: skip
        ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16))
    return ax


@takes(Locations)
def same_class_shares(result: Locations) -> Figure:
    """Draw the share of same-class matches by the cell matched and by the cell that asked, on one scale.

    Parameters
    ----------
    result : Locations

    Raises
    ------
    InputError
        No match can be told to be same-class or other-class.
    """
    shares = {
        "by the cell that was matched": result.same_share_by_match_cell,
        "by the cell that asked": result.same_share_by_query_cell,
    }
    if not result.n_same + result.n_other:
        raise InputError("no match has a class on both sides; shares of same-class matches need labels")
    norm = Normalize(
        float(min(np.nanmin(share) for share in shares.values())),
        float(max(np.nanmax(share) for share in shares.values())),
    )
    with composing(4.6, 2.3) as figure:
        axes = small_multiples(figure, 2, columns=2)
        for ax, (title, share) in zip(axes, shares.items(), strict=True):
            image = cell_map(share, ax, cmap=SEQUENTIAL, norm=norm)
            ax.set_title(title)
        colorbar(image, axes, _SHARE, shrink=0.8)
        label_outer(axes, columns=2)
        n = result.n_same + result.n_other
        figure.suptitle(f"{_SHARE}, overall {measurable(result.same_share, n, 'matches')}, n = {n:,} matches")
    return figure


def _ratio(result: Locations, kind: str) -> np.ndarray:
    return _over(getattr(result, kind), result.base)


def _over(density: np.ndarray, base: np.ndarray) -> np.ndarray:
    """Density over base; NaN in cells that nothing can match."""
    ratio: np.ndarray = np.divide(density, base, out=np.full(density.shape, np.nan), where=base > 0)
    return ratio


def _title(result: Locations, kind: str) -> str:
    if kind == "all":
        return SIDES[kind]
    rho = result.rho_same if kind == "same" else result.rho_other
    return f"{SIDES[kind]}, ρ = {measurable(rho, _n(result, kind), 'matches')}"


def _n(result: Locations, kind: str) -> int:
    counts = {"same": result.n_same, "other": result.n_other}
    return counts.get(kind, result.n_same + result.n_other + result.n_unlabeled)


def _count(result: Locations, kind: str) -> str:
    return f"n = {_n(result, kind):,} matches"
