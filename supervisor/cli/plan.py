"""Hold `mlxctl plan`."""

import click
import msgspec

from mlxd.protocol.plan import Holder, Plan, Verdict
from mlxd.protocol.units import format_size
from mlxd.supervisor.cli.session import Command, Session


@click.command(cls=Command)
@click.argument("model")
@click.pass_obj
def plan(session: Session, model: str) -> None:
    """Say what a load would do, and to whom, without loading anything."""
    answer = session.client.post("/v1/models/plan", {"model": model})
    if session.json:
        session.out.json(answer)
        return
    found = msgspec.convert(answer, Plan)
    session.out.sentence(sentence(found))
    for line in (*numbers(found), *map(holder, (*found.evicts, *found.waits_for))):
        session.out.sentence(f"  {line}")


def sentence(found: Plan) -> str:
    """Say what a load would do."""
    match found.verdict:
        case Verdict.LOADED:
            return f"{found.model} is loaded already"
        case Verdict.LOADING:
            return f"{found.model} is being loaded"
        case Verdict.FITS:
            return f"{found.model} fits"
        case Verdict.EVICTS:
            return f"{found.model} would evict {_names(found.evicts)}"
        case Verdict.WAITS:
            return f"{found.model} would wait for {_names(found.waits_for)}"
        case Verdict.BACKOFF:
            return f"{found.model} failed and is left alone for now: `mlxctl reset {found.model}` ends that"
        case Verdict.TOO_LARGE:
            return f"{found.model} does not fit, even with everybody gone who may go"
        case Verdict.ALL_PINNED:
            return f"{found.model} has no slot: all {found.max_loaded} hold pinned models"


def numbers(found: Plan) -> list[str]:
    """Return the numbers behind it, a line each."""
    lines = [f"needs {_bytes(found.need_bytes)}"]
    if found.short_bytes:
        lines.append(f"short of {_bytes(found.short_bytes)}")
    if found.budget_bytes is not None:
        lines.append(f"budget {_bytes(found.budget_bytes)}, held {_bytes(found.held_bytes)}")
    if found.available_bytes is not None:
        lines.append(f"available on this machine {_bytes(max(0, found.available_bytes))}")
    if found.max_loaded:
        lines.append(f"slots {found.loaded} of {found.max_loaded} taken")
    if found.load_seconds is not None:
        lines.append(f"loads in about {found.load_seconds:.1f} s")
    return lines


def holder(one: Holder) -> str:
    """Describe a model that holds room."""
    if one.active_requests:
        doing = f"requests {one.active_requests}"
    else:
        doing = f"idle for {one.idle_seconds:.0f} s"
    return f"{one.model}: {one.state}, holds {_bytes(one.held_bytes)}, {doing}"


def _bytes(count: int) -> str:
    return f"{format_size(count)} ({count} bytes)"


def _names(holders: list[Holder]) -> str:
    return ", ".join(one.model for one in holders) or "a turn"
