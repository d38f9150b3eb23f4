"""Hold `mlxctl pull`."""

import os
import subprocess
import time
from collections.abc import Generator, Iterator
from contextlib import closing
from typing import Any

import click
import msgspec

from mlxd.protocol.downloads import Failed, Order, Progress, PullRequest, decode_event
from mlxd.protocol.errors import CallerError
from mlxd.protocol.units import format_duration, format_size
from mlxd.supervisor import runfile
from mlxd.supervisor.cli.client import refusal
from mlxd.supervisor.cli.failure import Failure
from mlxd.supervisor.cli.session import Command, Session

_BAR = 24
_LEAVE_S = 10.0


@click.command(cls=Command)
@click.argument("model", metavar="MODEL[@REVISION]")
@click.option("--revision", metavar="REV", help="Branch, tag or commit to get, and to stay with.")
@click.option(
    "--dry-run", is_flag=True, help="Say how large it is and whether it fits; get nothing."
)
@click.pass_obj
def pull(session: Session, model: str, revision: str | None, dry_run: bool) -> None:
    """Download a model from the hub; what an earlier try has brought is not fetched again.

    Weights, tokenizer and configuration are fetched, never pickles or code. HF_TOKEN opens private and gated
    repositories, HF_ENDPOINT names another hub. Works without a daemon, too.
    """
    wanted = PullRequest(model=model, revision=revision, dry_run=dry_run)
    steps = _alone(session, wanted) if works_alone(session) else _asked(session, wanted)
    try:
        last = _watch(session, steps)
    except KeyboardInterrupt:
        session.out.note("\nwhat has come is kept; the same command goes on from there")
        raise
    if session.json:
        session.out.json(msgspec.to_builtins(last))
    elif dry_run:
        session.out.fields(plan_fields(last))
    else:
        session.out.sentence(sentence(last))


def works_alone(session: Session) -> bool:
    """Tell whether no daemon runs here and none was named, so that the command does the work itself."""
    return not session.url and runfile.running(session.paths.state_dir) is None


def sentence(done: Progress) -> str:
    """Say what is there now."""
    told = f"pulled {done.model} at {(done.revision or '')[:12]}: {format_size(done.total_bytes)}"
    return told if done.fits is not False else f"{told}; it does not fit the memory budget"


def plan_fields(plan: Progress) -> Iterator[tuple[str, str]]:
    """Yield what a dry run found out."""
    yield "model", plan.model
    yield "revision", plan.revision or "-"
    yield "files", str(plan.files)
    yield "size", format_size(plan.total_bytes)
    yield "to download", format_size(plan.total_bytes - plan.completed_bytes)
    yield "free on disk", format_size(plan.free_bytes)
    yield "fits in memory", {True: "yes", False: "no", None: "unknown"}[plan.fits]


def progress_line(now: Progress, speed: float) -> str:
    """Draw how far it is."""
    if now.status == "waiting":
        return f"{now.model}: another process is downloading it"
    share = now.completed_bytes / now.total_bytes if now.total_bytes else 0.0
    full = round(_BAR * share)
    line = f"{now.model} [{'#' * full}{' ' * (_BAR - full)}] {share:4.0%} of {format_size(now.total_bytes)}"
    if speed <= 0:
        return line
    left = (now.total_bytes - now.completed_bytes) / speed
    return f"{line}, {format_size(int(speed))}/s, {format_duration(left)} left"


def _watch(session: Session, steps: Generator[Progress]) -> Progress:
    last = first = None
    began = time.monotonic()
    with session.out.progress() as line, closing(steps):
        for last in steps:
            if first is None or first.status == "waiting":
                first, began = last, time.monotonic()
            elapsed = time.monotonic() - began
            came = last.completed_bytes - first.completed_bytes
            line.show(progress_line(last, came / elapsed if elapsed else 0.0))
    if last is None or last.status not in ("done", "planned"):
        raise Failure("the download broke off; pull again to resume", code="broken_stream")
    return last


def _asked(session: Session, wanted: PullRequest) -> Generator[Progress]:
    """Yield what the daemon says; it gets this user's token unless it is somebody else's machine."""
    token = None if session.url else os.environ.get("HF_TOKEN")
    body = msgspec.structs.replace(wanted, token=token)
    if wanted.dry_run:
        yield msgspec.convert(session.client.post("/v1/models/pull", body), Progress)
        return
    with closing(session.client.stream("/v1/models/pull", body)) as events:
        for data in events:
            step: dict[str, Any] = msgspec.json.decode(data)
            if "error" in step:
                raise refusal(step["error"])
            yield msgspec.convert(step, Progress)


def _alone(session: Session, wanted: PullRequest) -> Generator[Progress]:
    """Yield what a process of our own says."""
    from mlxd.supervisor.downloads import child as child
    from mlxd.supervisor.downloads.files import parse_repo
    from mlxd.supervisor.downloads.fit import budget, fits, journal_of

    try:
        repo, revision = parse_repo(wanted.model, wanted.revision)
    except CallerError as error:
        raise Failure(error.message, code=error.code) from None
    room = budget(session.settings())
    order = Order(
        model=repo,
        revision=revision,
        cache=str(session.paths.hub_cache),
        journal=str(journal_of(session.paths)),
        dry_run=wanted.dry_run,
    )
    with closing(_lines(child.COMMAND, child.environment(os.environ), order)) as lines:
        for line in lines:
            event = decode_event(line)
            if isinstance(event, Failed):
                raise Failure(event.message, code=event.code)
            yield msgspec.structs.replace(event, fits=fits(event.weights_bytes, room))


def _lines(command: tuple[str, ...], env: dict[str, str], order: Order) -> Generator[bytes]:
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # what it has to say is on its output
        env=env,
        start_new_session=True,  # Ctrl-C is for us; the end of its input ends it
    )
    assert process.stdin and process.stdout
    with process.stdin, process.stdout:
        try:
            process.stdin.write(msgspec.json.encode(order) + b"\n")
            process.stdin.flush()
            yield from process.stdout
        finally:
            process.stdin.close()
            try:
                process.wait(_LEAVE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
