"""Reports of observations: verdicts, numbers and figures, in a notebook and as files of a folder."""

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hueprobe.errors import HueprobeWarning, InputError, require_choice
from hueprobe.files import written_whole
from hueprobe.observations.table import Row
from hueprobe.observations.verdicts.documents import verdicts_html, verdicts_json
from hueprobe.observations.verdicts.rules import Verdict
from hueprobe.studies.csv_tables import csv_table
from hueprobe.studies.observing.memory_report import MemoryReport
from hueprobe.studies.observing.page import report_parts
from hueprobe.studies.pages import as_html, as_markdown

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FIGURE_FORMATS = ("png", "pdf", "svg")


@dataclass(frozen=True)
class Report:
    """Observations of one memory or several; it displays itself in a notebook.

    Attributes
    ----------
    memories : tuple of MemoryReport
        Results for each memory.

    See Also
    --------
    hueprobe.studies.observe : Make a report.

    Examples
    --------
    >>> report = hp.observe(memory, ["energy", "locations"])
    >>> [verdict.id for verdict in report.verdicts]
    ['1a centre', '1b symmetry', '3a centre', '3b angle', '3c border']
    """

    memories: tuple[MemoryReport, ...]

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """All verdicts, memory by memory."""
        return tuple(verdict for report in self.memories for verdict in report.verdicts)

    @property
    def seconds(self) -> dict[str, float]:
        """Time by stage, summed over the memories; see `MemoryReport`."""
        names = dict.fromkeys(name for report in self.memories for name in report.seconds)
        return {name: sum(report.seconds.get(name, 0.0) for report in self.memories) for name in names}

    @property
    def notes(self) -> tuple[str, ...]:
        """Reasons why something could not be measured, with the memory's name."""
        return tuple(f"{report.name}: {note}" for report in self.memories for note in report.notes)

    def figures(self) -> "Iterator[tuple[str, Figure]]":
        """Yield a name and a figure for everything that was measured.

        Yields
        ------
        (str, matplotlib.figure.Figure)
            Name, to be used as a file name, and figure.

        Examples
        --------
        >>> report = hp.observe(memory, "energy")
        >>> [name for name, figure in report.figures()][-1]
        'verdicts'
        """
        from hueprobe import plots

        energies = {report.name: report.energy for report in self.memories if report.energy is not None}
        if len(energies) > 1:
            yield "energy_maps", plots.energy_maps(energies)
        for report in self.memories:
            stem = report.name.removesuffix(".memory")
            for result in report.results.values():
                for name, figure in plots.figures(result).items():
                    yield f"{stem}_{name}", figure
            if report.energy is not None and report.locations is not None:
                try:
                    figure = plots.energy_and_matches(
                        report.energy, report.locations, relation=report.relation
                    )
                except InputError as error:
                    warnings.warn(f"no figure 'energy_and_matches': {error}", HueprobeWarning, stacklevel=2)
                else:
                    yield f"{stem}_energy_and_matches", figure
        if self.verdicts:
            yield "verdicts", plots.verdict_figure(self.verdicts)

    def save(
        self,
        folder: str | Path,
        *,
        figure_format: str | None = "png",
        more_figures: Sequence[str] = (),
        command: str = "",
    ) -> list[Path]:
        """Write figures, tables (CSV), `verdicts.json` and the report to a folder, and return the files.

        The report says each claim in words, as `report.md` and as `report.html`, which needs no other file.

        Parameters
        ----------
        folder : path
            Folder; created if it does not exist.
        figure_format : {"png", "pdf", "svg", None}, default="png"
            Format of the figures; None for no figures.
        more_figures : sequence of str, default=()
            File names of figures already in the folder that the report should also show.
        command : str, default=""
            The command that made the report, to be recorded in it.

        Returns
        -------
        list of Path
            The files written.

        Raises
        ------
        InputError
            The format is unknown.

        Examples
        --------
        >>> report = hp.observe(memory, "energy")
        >>> sorted(path.name for path in report.save("report", figure_format=None))
        ['maps.csv', 'numbers.csv', 'report.html', 'report.md', 'verdicts.json']
        """
        if figure_format is not None:
            require_choice("figure format", figure_format, FIGURE_FORMATS)
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        files = []
        if figure_format is not None:
            from hueprobe.plots.fonts import missing_told

            for name, figure in self.figures():
                files.append(folder / f"{name}.{figure_format}")
                with written_whole(files[-1]) as file, missing_told():
                    figure.savefig(file, format=figure_format)
        drawn = [*(file.name for file in files), *more_figures]
        parts = report_parts(self.memories, drawn, command=command)
        texts = {
            "verdicts.json": verdicts_json(self.verdicts),
            "report.md": as_markdown(parts), "report.html": as_html(parts, folder),
        }  # fmt: skip
        for name, rows in self.tables().items():
            if rows:
                texts[f"{name}.csv"] = csv_table(rows)
        for name, text in texts.items():
            with written_whole(folder / name) as file:
                file.write(text.encode())
        return [*files, *(folder / name for name in texts)]

    def tables(self) -> dict[str, list[Row]]:
        """Return the rows of every table, each with its memory: `numbers`, and the tables of the results.

        Returns
        -------
        dict of str to list of dict
            Rows by table name.

        Examples
        --------
        >>> tables = hp.observe(memory, "energy").tables()
        >>> [row["number"] for row in tables["numbers"]]
        ['rho', 'symmetric share']
        """
        tables: dict[str, list[Row]] = {"numbers": []}
        for report in self.memories:
            tables["numbers"] += [
                {
                    "memory": report.name, "observation": observation, "number": name,
                    "value": interval.estimate, "low": interval.low, "high": interval.high,
                }
                for observation, name, interval in report.numbers()
            ]  # fmt: skip
            for result in report.results.values():
                for name, rows in result.tables().items():
                    tables.setdefault(name, []).extend({"memory": report.name, **row} for row in rows)
        return tables

    def __str__(self) -> str:
        """Return every verdict with its findings, and the notes."""
        return "\n".join([*map(str, self.verdicts), *(f"note: {note}" for note in self.notes)])

    def __repr__(self) -> str:
        """Return the memories' names and their number of verdicts."""
        names = ", ".join(report.name for report in self.memories)
        return f"<Report on {names}: {len(self.verdicts)} verdicts>"

    def _repr_html_(self) -> str:
        return verdicts_html(self.verdicts, caption="; ".join(self.notes))
