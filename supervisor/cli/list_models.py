"""Hold `mlxctl list`."""

from collections.abc import Iterable

import click
import msgspec

from mlxd.protocol.units import format_size
from mlxd.supervisor.cli.session import Command, Session

_HEADER = ("NAME", "KIND", "SIZE", "CONTEXT", "STATE", "SOURCE", "ALIASES")


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """Read what the commands show of one entry of `/v1/models`."""

    id: str
    kind: str = "-"
    weights_bytes: int | None = None
    context_length: int | None = None
    state: str = "-"
    source: str = "-"
    aliases: list[str] = []
    error: str | None = None


class Models(msgspec.Struct, frozen=True):
    """Read the answer of `/v1/models`."""

    data: list[Entry]


@click.command("list", cls=Command)
@click.pass_obj
def list_models(session: Session) -> None:
    """Show every model that can be asked for, loaded or not."""
    if session.json:
        session.out.json(session.client.get("/v1/models"))
        return
    found = session.client.read("/v1/models", Models)
    session.out.table(_HEADER, rows(found.data))
    for entry in found.data:
        if entry.error:
            session.out.note(f"{entry.id}: {entry.error}")


def rows(entries: Iterable[Entry]) -> Iterable[tuple[str, ...]]:
    """Yield the lines of the table."""
    for entry in entries:
        yield (
            entry.id,
            entry.kind,
            format_size(entry.weights_bytes) if entry.weights_bytes else "-",
            str(entry.context_length or "-"),
            entry.state,
            entry.source,
            ", ".join(entry.aliases) or "-",
        )
