"""Match tables of a search in parts: `evaluate --from-matches`, and the settings that `observe` takes."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from hueprobe.cli import options as common
from hueprobe.cli import trust
from hueprobe.cli.evaluation import Search, document_of, gathered, report

if TYPE_CHECKING:
    from hueprobe.classification import Classification
    from hueprobe.memory.store import Memory

_ALLOWED = ("memory", "from_matches", "neighbors_file", "as_json")


def evaluate_matches(memory: Path, file: Path, *, neighbors_file: Path | None, as_json: bool) -> None:
    """Classify the images of a merged table by its matches, and compare them with their classes."""
    from hueprobe.classifier import warn_of_duplicates
    from hueprobe.memory import open_memory
    from hueprobe.neighbor_tables import NeighborTable
    from hueprobe.observations.accuracy.evaluation import evaluate as compare
    from hueprobe.scale import SearchFacts, classify_matches_batches

    _require_alone(click.get_current_context())
    opened = open_memory(memory)
    facts = SearchFacts.load(file)
    if neighbors_file is not None and not facts.leave_one_out:
        raise click.UsageError(
            f"--neighbors needs the folders of the query images, which {file} does not hold; leave it out"
        )
    neighbors = NeighborTable()
    batches: Iterable[tuple[Classification, ...]] = (
        (part,) for part in classify_matches_batches(file, opened)
    )
    if neighbors_file is not None:
        batches = gathered(batches, neighbors)
    (result,), _ = trust.classify(batches, with_patches=False)
    if neighbors_file is not None:
        neighbors.save(neighbors_file)
    warn_of_duplicates(result.duplicates, facts.exclude)
    common.report_skipped(result.skipped)
    found = compare(result)
    search = Search(
        k=facts.k, spec=facts.searcher, certified=facts.certified, format=", ".join(facts.formats),
        parts=facts.parts,
    )  # fmt: skip
    if as_json:
        common.print_json({**document_of(result, found, search), **trust.document(trust.Trust())})
    else:
        report(result, found, search)


def _require_alone(context: click.Context) -> None:
    """Reject options of a search: the table is searched already."""
    given = [
        parameter.opts[0] if isinstance(parameter, click.Option) else parameter.human_readable_name
        for parameter in context.command.params
        if parameter.name not in _ALLOWED
        and context.get_parameter_source(parameter.name or "") is not ParameterSource.DEFAULT
    ]
    if given:
        raise click.UsageError(
            f"--from-matches takes images, search and exclusion from the table; leave out {', '.join(given)}"
        )


def search_of(
    file: Path, memory: "Memory | None", *, k: int, searcher: str, exclude: str
) -> tuple[int, str, str]:
    """Return K, searcher and exclusion of a merged table; those given for a table that does not say."""
    from hueprobe.match_files import read_match_metadata
    from hueprobe.scale.search_facts import KEY, facts_of

    metadata = read_match_metadata(file)
    if KEY not in metadata:
        return k, searcher, exclude
    facts, context = facts_of(metadata, str(file)), click.get_current_context()
    if memory is not None:
        facts.require_memory(memory, str(file))
    for name, given in (("k", k), ("searcher", searcher), ("exclude", exclude)):
        its = getattr(facts, name)
        if context.get_parameter_source(name) is not ParameterSource.DEFAULT and given != its:
            raise click.UsageError(
                f"{file} was searched with {name} {its}, but --{name} is {given}; leave out --{name}"
            )
    return facts.k, facts.searcher, facts.exclude
