"""Hold `mlxctl ps`."""

import time

import click
import msgspec

from mlxd.protocol.admin import ModelStatus, Ps
from mlxd.protocol.lifecycle import ALIVE, WorkerState
from mlxd.protocol.units import format_duration, format_size
from mlxd.supervisor.cli.session import Command, Session

_HEADER = (
    "NAME", "KIND", "STATE", "PID", "MEMORY", "ACTIVE", "QUEUED", "IDLE-UNLOAD-IN", "TOK/S",
)  # fmt: skip


@click.command(cls=Command)
@click.pass_obj
def ps(session: Session) -> None:
    """Show the models that are loaded, loading or leaving."""
    found = session.client.read("/v1/ps", Ps)
    if session.json:
        session.out.json(msgspec.to_builtins(found))
        return
    session.out.table(_HEADER, (row(model, time.time()) for model in found.models))
    for model in found.models:
        if model.error:
            session.out.note(f"{model.id}: {model.error}{retry(model, time.time())}")


def row(model: ModelStatus, now: float) -> tuple[str, ...]:
    """Return one line of the table; a dash stands for what does not apply."""
    alive = model.state in ALIVE
    speed = model.generation_tokens_per_second
    return (
        model.id,
        model.kind,
        model.state,
        str(model.pid) if model.pid else "-",
        format_size(model.memory_bytes) if alive else "-",
        str(model.active_requests),
        str(model.queued_requests),
        idle_unload_in(model, now),
        f"{speed:.1f}" if speed else "-",
    )


def idle_unload_in(model: ModelStatus, now: float) -> str:
    """Say how long the model stays loaded from now if nobody uses it."""
    if model.pinned:
        return "pinned"
    if model.expires_at is None:
        idle = model.state is WorkerState.READY and not model.active_requests
        return "never" if idle else "-"
    return format_duration(max(0.0, model.expires_at - now))


def retry(model: ModelStatus, now: float) -> str:
    """Say when a failed model may be tried again."""
    if model.quarantined:
        return f"; `mlxctl reset {model.id}` lets it be tried again"
    if model.retry_at is None:
        return ""
    return f"; may be tried again in {format_duration(max(0.0, model.retry_at - now))}"
