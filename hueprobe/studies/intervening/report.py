"""The folder of an intervention: numbers, figures, tables, and a page that says what was found."""

from collections.abc import Sequence
from math import isnan
from pathlib import Path
from urllib.parse import quote

from hueprobe.errors import require_choice
from hueprobe.escapes import escape_markdown
from hueprobe.files import storing, written_whole
from hueprobe.json_documents import json_text
from hueprobe.observations.interventions.image_positions import ESTIMATORS
from hueprobe.observations.interventions.result import Interventions
from hueprobe.observations.interventions.symmetries import NAMES
from hueprobe.observations.verdicts.documents import verdicts_json
from hueprobe.observations.verdicts.findings import p_text, range_text
from hueprobe.studies.csv_tables import csv_table
from hueprobe.studies.observing.report import FIGURE_FORMATS


def save_interventions(
    result: Interventions, folder: str | Path, *, figure_format: str | None = "png"
) -> list[Path]:
    """Write the result, figures, tables (CSV), `interventions.json`, `verdicts.json` and `report.md`.

    Parameters
    ----------
    result : Interventions
        Result of `hueprobe.intervene`.
    folder : path
        Folder; created if it does not exist.
    figure_format : {"png", "pdf", "svg", None}, default="png"
        Format of the figures; None for no figures.

    Returns
    -------
    list of Path
        The files written.

    Raises
    ------
    InputError
        The format is unknown.

    See Also
    --------
    hueprobe.observations.interventions.Interventions.load : Read `interventions.npz` again.

    Examples
    --------
    >>> up = [(0, 0.5), (0, -0.5), (0, 0)]
    >>> found = hp.observations.interventions.measure(
    ...     hp.observations.interventions.simulate(up, [(0, 0)] * 3, n_images=20, seed=0)
    ... )
    >>> files = hp.studies.save_interventions(found, "report", figure_format=None)
    >>> sorted(path.name for path in files)
    ['class_vectors.csv', 'interventions.json', 'interventions.npz', 'report.md', 'verdicts.json']
    """
    if figure_format is not None:
        require_choice("figure format", figure_format, FIGURE_FORMATS)
    folder = Path(folder)
    with storing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    files = [folder / "interventions.npz"]
    result.save(files[0])
    drawn = []
    if figure_format is not None:
        from hueprobe import plots
        from hueprobe.plots.fonts import missing_told

        for name, figure in plots.figures(result).items():
            drawn.append(f"{name}.{figure_format}")
            with written_whole(folder / drawn[-1]) as file, missing_told():
                figure.savefig(file, format=figure_format)
    texts = {
        "interventions.json": json_text(result.to_json(), indent=1) + "\n",
        "verdicts.json": verdicts_json(result.claims()),
        "report.md": _page(result, drawn),
        **{f"{name}.csv": csv_table(rows) for name, rows in result.tables().items()},
    }
    for name, text in texts.items():
        with written_whole(folder / name) as file:
            file.write(text.encode())
    return [*files, *(folder / name for name in (*drawn, *texts))]


def _page(result: Interventions, figures: Sequence[str]) -> str:
    conclusion, positions = result.conclusion, result.positions
    first = next(iter(result.separations.values()))
    settings = ", ".join(f"{name} {value}" for name, value in result.definitions.items())
    lines = [
        f"# Interventions on {escape_markdown(result.memory)}",
        "",
        f"**{conclusion.verdict}.** {conclusion.text}",
        "",
        f"- network: {escape_markdown(result.network)}" if result.network else "- network: unknown",
        f"- {first.n_images} images, {len(first.classes)} classes, {len(positions.block)} deals of "
        f"{positions.n_blocks} blocks",
        f"- flips of all images: {', '.join(f'{flip} ({NAMES[flip]})' for flip in positions.flips)}",
        f"- margin: {result.margin:g} cells; seed {result.seed}; {result.n_permutations:,} permutations; "
        f"{settings}",
    ]
    if first.left_out:
        lines.append(f"- left out, too few images: {', '.join(map(escape_markdown, first.left_out))}")
    lines += [
        "",
        "Content-locked is what flips with the images, network-locked what stays. Distances between classes "
        "are in cells; a distance below 0 is one that blocks of images do not repeat.",
        "",
        "| number | value | 95 % | p |",
        "|---|---|---|---|",
    ]
    for name, one in result.numbers().items():
        if not isnan(one.estimate):
            p = "" if one.p_value is None else p_text(one.p_value)
            lines.append(f"| {name} | {one.estimate:.3f} | {range_text(one.low, one.high)} | {p} |")
    lines += ["", *(f"- {name}: {text}" for name, text in ESTIMATORS.items() if name in result.separations)]
    lines += ["", *(f"![{name}]({quote(name)})" for name in figures if name.endswith((".png", ".svg")))]
    return "\n".join(lines).rstrip() + "\n"
