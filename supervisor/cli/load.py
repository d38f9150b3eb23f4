"""Hold `mlxctl load`."""

import queue
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import click
import msgspec

from mlxd.protocol.admin import LoadResult, ModelStatus, Ps
from mlxd.protocol.units import format_size
from mlxd.supervisor.cli.failure import Failure
from mlxd.supervisor.cli.session import Command, Session

_REFRESH_S = 0.5


@click.command(cls=Command)
@click.argument("models", metavar="MODEL...", nargs=-1, required=True)
@click.option(
    "--keep-alive", metavar="TIME", help="Unload after this long without use: 30m, 90, never."
)
@click.option("--pin/--no-pin", default=None, help="Never unload it to make room, nor when idle.")
@click.pass_obj
def load(
    session: Session, models: tuple[str, ...], keep_alive: str | None, pin: bool | None
) -> None:
    """Load models and wait until they are ready."""
    results = []
    for model in models:
        body = {"model": model, "keep_alive": keep_alive, "pin": pin}
        wanted = {key: value for key, value in body.items() if value is not None}
        answer = _with_progress(
            session, model, partial(session.client.post, "/v1/models/load", wanted)
        )
        results.append(msgspec.convert(answer, LoadResult))
        if not session.json:
            session.out.sentence(sentence(results[-1]))
    if session.json:
        session.out.json(msgspec.to_builtins(results))


def sentence(result: LoadResult) -> str:
    """Say what happened."""
    size = format_size(result.memory_bytes)
    if result.already_loaded:
        return f"{result.model} was loaded already: pid {result.pid}, {size}"
    return f"loaded {result.model} in {result.load_seconds:.1f} s: pid {result.pid}, {size}"


def _with_progress(session: Session, model: str, call: Callable[[], Any]) -> Any:
    with session.out.progress() as progress:
        if not progress.visible:
            return call()
        answers: queue.Queue[Any] = queue.Queue()
        # A daemon thread: an interrupted command leaves at once, and the daemon goes on loading.
        threading.Thread(target=lambda: answers.put(_outcome(call)), daemon=True).start()
        started = time.monotonic()
        while True:
            try:
                answer = answers.get(timeout=_REFRESH_S)
            except queue.Empty:
                progress.show(_so_far(session, model, time.monotonic() - started))
                continue
            if isinstance(answer, Exception):
                raise answer
            return answer


def _outcome(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except Exception as error:
        return error


def _so_far(session: Session, model: str, elapsed: float) -> str:
    try:
        found = session.client.read("/v1/ps", Ps).models
    except Failure:
        found = []
    # By alias the daemon shows another name: with one model on its way there is no doubt which.
    moving = [status for status in found if status.id == model] or found[-1:]
    return progress_line(model, moving[0] if moving else None, elapsed)


def progress_line(model: str, status: ModelStatus | None, elapsed: float) -> str:
    """Say how far a load is."""
    line = f"{model}: {status.state if status else 'waiting'}, {elapsed:.0f} s"
    if status is None or not status.weights_bytes:
        return line
    return f"{line}, {format_size(status.memory_bytes)} in memory of {format_size(status.weights_bytes)} weights"
