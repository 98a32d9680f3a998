"""The report of a plan of work, for `hueprobe plan` and `hueprobe index --dry-run`."""

from typing import TYPE_CHECKING

import click

from hueprobe.cli.options import number, print_table, say

if TYPE_CHECKING:
    from hueprobe.scale import PlannedMemory, WorkPlan

trial_option = click.option(
    "--trial",
    "seconds",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="How long images are extracted to measure the speed.  [default: 20]",
)


def print_work_plan(plan: "WorkPlan") -> None:
    """Print what a build in parts takes, and what search costs."""
    trial = plan.trial
    device = "" if trial.device_ram is None else f", {_bytes(trial.device_ram)} on the device"
    say(
        f"trial: {trial.n_images:,} images in {trial.seconds:.1f} s on {trial.device}: "
        f"{trial.images_per_second:,.1f} images/s; {_bytes(trial.ram)} RAM{device}"
    )
    for memory in plan.memories:
        settings = memory.settings
        size = "x".join(map(str, settings.grid)) + f" x {settings.channels}"
        rows = [
            ["whole memory, one process", f"{memory.n_images:,}", _bytes(memory.n_bytes), _time(plan.hours)],
            [
                "largest of " + (f"{plan.n_parts} parts" if plan.n_parts > 1 else "1 part"),
                f"{memory.part_images:,}", _bytes(memory.part_bytes), _time(plan.hours_per_part),
            ],
        ]  # fmt: skip
        say("")
        print_table(
            f"{settings.backbone}:{settings.layer}, {settings.descriptor}, {settings.dtype}: {size}, "
            f"{memory.n_vectors:,} vectors",
            ["", "images", "disk", "time"],
            rows,
        )
        _print_search(memory)
    say("", "Times are of a machine like this one; a process needs that RAM whatever the size of its part.")


def _print_search(memory: "PlannedMemory") -> None:
    from hueprobe.search.exact.blocks import DEFAULT_BUDGET

    search, settings = memory.search, memory.settings
    if search.costs:
        small, large = search.sample_vectors
        say("")
        print_table(
            f"search of an image in {memory.n_vectors:,} vectors, extrapolated linearly from samples of "
            f"{small:,} and {large:,}:",
            ["searcher", "time", "time in samples", "index", "build", "recall@10 in sample"],
            [
                [
                    cost.spec,
                    _time(cost.seconds_per_image / 3600),
                    " ".join(_time(seconds / 3600) for seconds in cost.sample_seconds),
                    _bytes(cost.index_bytes) if cost.index_bytes else "-",
                    _time(cost.build_hours) if cost.index_bytes else "-",
                    number(cost.recall, ".3f"),
                ]
                for cost in search.costs
            ],
        )
    n_codes = memory.n_vectors * settings.channels  # a byte for each value
    if search.costs and n_codes > DEFAULT_BUDGET:
        say(
            f"not in the time of exact search: with the default --memory-budget of {_bytes(DEFAULT_BUDGET)}, "
            f"each batch of queries reads about {_bytes(n_codes)} of rounded vectors from the disk"
        )
    for spec, reason in search.failed:
        say(f"not measured: {spec}: {reason}", err=True)


def _bytes(n: int | None) -> str:
    """Return a size in decimal units.

    >>> _bytes(241_062_400_000), _bytes(1_530_000), _bytes(None)
    ('241.1 GB', '1.5 MB', 'unknown')
    """
    if n is None:
        return "unknown"
    for unit, size in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if n >= size:
            return f"{n / size:,.1f} {unit}"
    return f"{n / 1e3:,.1f} kB"


def _time(hours: float) -> str:
    """Return a time in a unit that suits it.

    >>> _time(100.0), _time(1.5), _time(0.05), _time(0.01), _time(1e-6)
    ('4.2 days', '1.5 h', '3.0 min', '36.0 s', '3.6 ms')
    """
    for unit, size in (("days", 48.0), ("h", 1.0), ("min", 1 / 60), ("s", 1 / 3600)):
        if hours >= size:
            return f"{hours / (24.0 if unit == 'days' else size):.1f} {unit}"
    return f"{hours * 3.6e6:.1f} ms"
