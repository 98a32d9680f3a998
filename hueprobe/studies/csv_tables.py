"""Tables of a report's folder as CSV."""

import csv
import io
from collections.abc import Sequence

from hueprobe.errors import InputError
from hueprobe.observations.table import Row


def csv_table(rows: Sequence[Row]) -> str:
    """Return rows as CSV; NaN is an empty field.

    Parameters
    ----------
    rows : sequence of mapping
        Rows with the same columns.

    Raises
    ------
    InputError
        The rows have different columns.
    """
    columns = list(dict.fromkeys(name for row in rows for name in row))
    if any(set(row) != set(columns) for row in rows):
        raise InputError(f"rows of one table have different columns: {', '.join(columns)}")
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([["" if row[n] != row[n] else row[n] for n in columns] for row in rows])
    return text.getvalue()
