"""Verdicts as `verdicts.json`, and as a table in a notebook."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from hueprobe.arguments import takes
from hueprobe.errors import InputError
from hueprobe.html_tables import html_table
from hueprobe.json_documents import json_text
from hueprobe.observations.verdicts.rules import COLUMNS, Verdict


@takes(Verdict, several=True)
def verdicts_json(verdicts: Iterable[Verdict], *, seconds: Mapping[str, float] | None = None) -> str:
    """Return verdicts as the text of `verdicts.json`: sorted keys, null and never NaN.

    Parameters
    ----------
    verdicts : iterable of Verdict
        Verdicts to write.
    seconds : mapping of str to float, optional
        Time by stage, to be written too. By default none is, so that the text is the same for the same
        verdicts.

    Returns
    -------
    str
        JSON document, ending with a newline.

    See Also
    --------
    hueprobe.observations.verdicts.verdicts_from_json : Read the verdicts again.

    Examples
    --------
    >>> verdicts = hp.observations.locations.measure(matches).claims(memory="shapes")
    >>> text = hp.observations.verdicts.verdicts_json(verdicts)
    >>> text.count("shapes")
    2
    """
    document: dict[str, Any] = {"verdicts": [verdict.to_json() for verdict in verdicts]}
    if seconds is not None:
        document["seconds"] = seconds
    return json_text(document, indent=2) + "\n"


@takes(str)
def verdicts_from_json(text: str) -> tuple[Verdict, ...]:
    """Return the verdicts of the text of `verdicts.json`.

    Parameters
    ----------
    text : str
        Text returned by `verdicts_json`.

    Returns
    -------
    tuple of Verdict
        Verdicts in the order of the document. Intervals have their bounds, without standard errors.

    Raises
    ------
    InputError
        The text is not such a document.

    See Also
    --------
    hueprobe.observations.verdicts.verdicts_json : Write verdicts.

    Examples
    --------
    >>> verdicts = hp.observations.locations.measure(matches).claims(memory="shapes")
    >>> text = hp.observations.verdicts.verdicts_json(verdicts)
    >>> [verdict.id for verdict in hp.observations.verdicts.verdicts_from_json(text)]
    ['3a centre', '3c border']
    """
    try:
        return tuple(Verdict.from_json(record) for record in json.loads(text)["verdicts"])
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(
            f"this is not a verdicts.json of hueprobe ({type(error).__name__}: {error}); make one with "
            "`hueprobe observe`"
        ) from error


def verdicts_html(verdicts: Iterable[Verdict], *, caption: str = "") -> str:
    """Return a table of verdicts for a notebook: claim, effect with interval, null, p, n, failed controls.

    Parameters
    ----------
    verdicts : iterable of Verdict
        Verdicts to show.
    caption : str, default=""
        Text below the table.
    """
    return html_table(COLUMNS, [verdict.row() for verdict in verdicts], caption=caption)
