"""The options of commands that may do their work in parts with an engine, and what they mean together."""

from collections.abc import Callable
from typing import Any

import click

from hueprobe.cli.options import Decorator


def _engine(ctx: click.Context, param: click.Parameter, text: str | None) -> str | None:
    from hueprobe.errors import InputError
    from hueprobe.scale.engines.engine import EngineName

    try:
        if text is not None:
            EngineName.parse(text)
    except InputError as error:
        raise click.BadParameter(str(error)) from None
    return text


def _settings(ctx: click.Context, param: click.Parameter, texts: tuple[str, ...]) -> dict[str, Any]:
    """Return the value of each KEY=VALUE: a number, true or false, or a text."""
    settings: dict[str, Any] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key.strip().isidentifier():
            raise click.BadParameter(f"give KEY=VALUE, such as partition=gpu; got {text!r}")
        settings[key.strip()] = _value(value.strip())
    return settings


def _value(text: str) -> Any:
    """Return a number, a truth value, or the text itself.

    >>> _value("60"), _value("0.5"), _value("true"), _value("1:00:00")
    (60, 0.5, True, '1:00:00')
    """
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


_OPTIONS: tuple[Decorator, ...] = (
    click.option(
        "--engine",
        metavar="ENGINE",
        callback=_engine,
        help="Do all parts with several workers: local:4 for processes on this machine; ray or ray:ADDRESS "
        "for tasks of Ray; submitit for jobs of SLURM.  [default: this process]",
    ),
    click.option(
        "--parts",
        "n_parts",
        type=click.IntRange(min=1),
        help="Number of parts with --engine.  [default: as begun, or one for each worker; SLURM needs it]",
    ),
    click.option(
        "--engine-option",
        "engine_settings",
        metavar="KEY=VALUE",
        multiple=True,
        callback=_settings,
        help="Setting of the engine, such as partition=gpu, time=60 or gpus_per_node=1 for SLURM, "
        "num_cpus=4 for Ray; may be repeated.",
    ),
    click.option(
        "--restarts",
        type=click.IntRange(min=0),
        help="How often a part is started again in a row after its worker died without finishing more of "
        "it.  [default: 3]",
    ),
)


def engine_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of engines."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def asked_engine(
    engine: str | None, n_parts: int | None, settings: dict[str, Any], restarts: int | None
) -> dict[str, Any] | None:
    """Return what a function in parts takes; None without an engine, when nothing may be asked of one."""
    from hueprobe.scale.engines.running import RESTARTS

    if engine is not None:
        return {
            "engine": engine, "n_parts": n_parts, "engine_options": settings,
            "restarts": RESTARTS if restarts is None else restarts,
        }  # fmt: skip
    given = {"parts": n_parts is not None, "engine-option": settings, "restarts": restarts is not None}
    for name, is_given in given.items():
        if is_given:
            raise click.UsageError(f"--{name} is about an engine; give it with --engine, such as local:4")
    return None
