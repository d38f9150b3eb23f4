"""Hold `mlxctl status`."""

import time
from collections.abc import Iterator

import click
import msgspec

from mlxd.protocol.admin import ModelStatus, Ps
from mlxd.protocol.lifecycle import ALIVE
from mlxd.protocol.units import format_duration, format_size
from mlxd.supervisor import runfile
from mlxd.supervisor.cli.failure import Exit
from mlxd.supervisor.cli.session import Command, Session
from mlxd.supervisor.runfile import RunFile


@click.command(cls=Command)
@click.pass_context
def status(context: click.Context) -> None:
    """Tell whether the daemon runs, where, and what it holds."""
    session: Session = context.obj
    run = None if session.url else runfile.running(session.paths.state_dir)
    seen = None if session.url else service_of()
    if run is None and session.url is None:
        if session.json:
            session.out.json({"running": False, "service": seen})
        else:
            session.out.sentence("mlxd is not running; `mlxctl start` starts it")
        context.exit(Exit.UNREACHABLE)
    models = [model for model in session.client.read("/v1/ps", Ps).models if model.state in ALIVE]
    if session.json:
        session.out.json(report(session.client.url, run, models) | {"service": seen})
    else:
        session.out.sentence("mlxd is running")
        session.out.fields(fields(session.client.url, run, models, time.time()))
        if seen:
            kind, told = seen["kind"], "" if seen["running"] else ", which did not start this one"
            session.out.fields([("service", f"{kind}{told}")])


def service_of() -> dict[str, object] | None:
    """Return how the operating system sees the service, None where none is installed."""
    from mlxd.supervisor.cli.service import installed
    from mlxd.supervisor.service.control import ServiceError, State

    control = installed()
    if control is None:
        return None
    try:
        state = control.state()
    except ServiceError:
        state = State(loaded=False)
    return {
        "kind": control.kind,
        "file": str(control.file),
        "loaded": state.loaded,
        "running": state.running,
        "pid": state.pid,
    }


def report(url: str, run: RunFile | None, models: list[ModelStatus]) -> dict[str, object]:
    """Return the status for programs."""
    return {
        "running": True,
        "url": url,
        "pid": run.pid if run else None,
        "version": run.version if run else None,
        "started_at": run.started_at if run else None,
        "memory_bytes": sum(model.memory_bytes for model in models),
        "models": msgspec.to_builtins(models),
    }


def fields(
    url: str, run: RunFile | None, models: list[ModelStatus], now: float
) -> Iterator[tuple[str, str]]:
    """Yield name and text of each line; a daemon on another machine has no pid here."""
    yield "url", url
    if run:
        yield "pid", str(run.pid)
        yield "version", run.version
        yield "uptime", format_duration(max(0.0, now - run.started_at))
    yield "models", ", ".join(f"{model.id} ({model.state})" for model in models) or "none loaded"
    yield "memory", format_size(sum(model.memory_bytes for model in models))
