"""Hold `mlxctl show`."""

import time
from collections.abc import Iterator, Mapping

import click

from mlxd.protocol.units import NEVER, format_duration, format_size
from mlxd.supervisor.cli.client import model_path
from mlxd.supervisor.cli.session import Command, Session

_UNWRITTEN = frozenset({"object", "owned_by"})
"""Constants that OpenAI's clients expect and nobody reads."""


@click.command(cls=Command)
@click.argument("model")
@click.pass_obj
def show(session: Session, model: str) -> None:
    """Show what is known about one model."""
    entry = session.client.get(model_path(model))
    if session.json:
        session.out.json(entry)
    else:
        session.out.fields(fields(entry))


def fields(entry: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """Yield name and text of every field that says something; fields of a newer daemon are shown as they are."""
    for name, value in entry.items():
        if name not in _UNWRITTEN and value not in (None, [], {}):
            yield (
                name.removesuffix("_bytes").removesuffix("_at").replace("_", " "),
                _text(name, value),
            )


def _text(name: str, value: object) -> str:
    match value:
        case bool():
            return "yes" if value else "no"
        case list():
            return ", ".join(map(str, value))
        case dict():
            return ", ".join(f"{key} {setting}" for key, setting in value.items())
        case int() if name.endswith("_bytes"):
            return f"{format_size(value)} ({value} bytes)"
        case int() | float() if name == "created" or name.endswith("_at"):
            return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(value))
        case int() | float() if name.endswith("_timeout"):
            return format_duration(value if value >= 0 else NEVER)
        case _:
            return str(value)
