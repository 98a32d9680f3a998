"""Verdicts together: as `verdicts.json`, and as a table in a notebook."""

import json
from collections.abc import Iterable

from hueprobe.arguments import takes
from hueprobe.errors import InputError
from hueprobe.html_tables import html_table
from hueprobe.json_documents import json_text
from hueprobe.observations.verdicts.rules import COLUMNS, Verdict


@takes(Verdict, several=True)
def verdicts_json(verdicts: Iterable[Verdict]) -> str:
    """Return the text of `verdicts.json`: sorted keys, null and never NaN.

    Parameters
    ----------
    verdicts : iterable of Verdict
    """
    document = {"verdicts": [verdict.to_json() for verdict in verdicts]}
    return json_text(document, indent=2) + "\n"


@takes(str)
def verdicts_from_json(text: str) -> tuple[Verdict, ...]:
    """Return the verdicts of `verdicts.json`.

    Parameters
    ----------
    text : str
        What `verdicts_json` returned.

    Raises
    ------
    InputError
        The text is no such document.
    """
    try:
        return tuple(Verdict.from_json(record) for record in json.loads(text)["verdicts"])
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(
            f"this is no verdicts.json of hueprobe ({type(error).__name__}: {error}); make one with "
            "`hueprobe observe`"
        ) from error


def verdicts_html(verdicts: Iterable[Verdict], *, caption: str = "") -> str:
    """Return a table of verdicts for a notebook: claim, effect with interval, null, p, n, controls lost.

    Parameters
    ----------
    verdicts : iterable of Verdict
    caption : str
        Below the table.
    """
    return html_table(COLUMNS, [verdict.row() for verdict in verdicts], caption=caption)
