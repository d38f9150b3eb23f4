"""Hold `mlxctl list`."""

import time
from collections.abc import Iterable

import click
import msgspec

from mlxd.protocol.downloads import Unfinished, UnfinishedList
from mlxd.protocol.units import format_duration, format_size
from mlxd.supervisor.cli.failure import Refused
from mlxd.supervisor.cli.session import Command, Session

_ALL = "/v1/models?all=true"
"""Configured models that cannot be served are among them, with the reason."""
_HEADER = ("NAME", "KIND", "SIZE", "CONTEXT", "STATE", "LAST USED", "SOURCE", "ALIASES")


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """Read what the commands show of one entry of `/v1/models`."""

    id: str
    kind: str = "-"
    weights_bytes: int | None = None
    context_length: int | None = None
    state: str = "-"
    last_used_at: float | None = None
    source: str = "-"
    aliases: list[str] = []
    error: str | None = None


class Models(msgspec.Struct, frozen=True):
    """Read the answer of `/v1/models`."""

    data: list[Entry]


@click.command("list", cls=Command)
@click.pass_obj
def list_models(session: Session) -> None:
    """Show every model that can be asked for, loaded or not, and every download that is not finished."""
    halves = _unfinished(session)
    if session.json:
        more = {"unfinished": msgspec.to_builtins(halves)} if halves else {}
        session.out.json({**session.client.get(_ALL), **more})
        return
    found = session.client.read(_ALL, Models)
    session.out.table(_HEADER, [*rows(found.data, time.time()), *half_rows(halves)])
    for half in halves:
        if not half.running:
            session.out.note(
                f"{half.model} is incomplete: `mlxctl pull {half.model}` goes on with it"
            )
    for entry in found.data:
        if entry.error:
            session.out.note(f"{entry.id}: {entry.error}")


def rows(entries: Iterable[Entry], now: float) -> Iterable[tuple[str, ...]]:
    """Yield the lines of the table."""
    for entry in entries:
        yield (
            entry.id,
            entry.kind,
            format_size(entry.weights_bytes) if entry.weights_bytes else "-",
            str(entry.context_length or "-"),
            entry.state,
            since(entry.last_used_at, now),
            entry.source,
            ", ".join(entry.aliases) or "-",
        )


def since(at: float | None, now: float) -> str:
    """Say how long ago something was."""
    return "-" if at is None else f"{format_duration(max(0.0, float(int(now - at))))} ago"


def half_rows(halves: Iterable[Unfinished]) -> Iterable[tuple[str, ...]]:
    """Yield the lines of what cannot be asked for yet."""
    for half in halves:
        size = format_size(half.completed_bytes)
        if half.total_bytes:
            size = f"{size} of {format_size(half.total_bytes)}"
        state = "downloading" if half.running else "incomplete"
        yield half.model, "-", size, "-", state, "-", "hub", "-"


def _unfinished(session: Session) -> list[Unfinished]:
    try:
        return session.client.read("/v1/downloads", UnfinishedList).data
    except Refused:  # a daemon that does not know them yet
        return []
