"""Hold `mlxctl install` and `uninstall`, and how the service is moved once it is installed."""

import os
import time
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import click

from mlxd.supervisor import runfile
from mlxd.supervisor.cli.failure import Failure
from mlxd.supervisor.cli.session import Command, Session
from mlxd.supervisor.runfile import RunFile

if TYPE_CHECKING:
    from mlxd.supervisor.service.control import Control

_P = ParamSpec("_P")
_T = TypeVar("_T")

_START_S = 30.0
_GONE_S = 2.0
"""A daemon that is not there for so long has left by itself."""
_SHOWN_LINES = 20
_LOOK_AGAIN_S = 0.05


def _told(function: Callable[_P, _T]) -> Callable[_P, _T]:
    """Turn what the operating system refused into the failure of a command."""

    @wraps(function)
    def wrapped(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        from mlxd.supervisor.service.control import ServiceError

        try:
            return function(*args, **kwargs)
        except ServiceError as error:
            raise Failure(str(error), code="service") from None

    return wrapped


@click.command(cls=Command)
@click.option("--port", type=click.IntRange(0, 65535), help="Port to listen on, 0 = any free one.")
@click.option("--host", help="Address to listen on.")
@click.option("--config", type=click.Path(exists=True, dir_okay=False, resolve_path=True, path_type=Path),
              help="Configuration file [env: MLXD_CONFIG]")  # fmt: skip
@click.option("--with-secrets", is_flag=True,
              help="Write this shell's HF_TOKEN and MLXD_SERVER_API_KEY into the service's file.")  # fmt: skip
@click.pass_obj
@_told
def install(
    session: Session, config: Path | None, host: str | None, port: int | None, with_secrets: bool
) -> None:
    """Have the operating system run the daemon: from now on, at every login, and again after a crash.

    That is launchd on macOS and systemd on Linux. The service gets the MLXD_…, HF_… and XDG_… variables of this shell,
    but no secret unasked; install again to change something. Requests that run are finished first.
    """
    from mlxd.supervisor.cli import background
    from mlxd.supervisor.service import plan

    settings = session.settings(config)
    control = of_user()
    program = background.command(background.options(config, host, port))
    service = plan.plan(program, settings, session.paths, os.environ, with_secrets=with_secrets)
    content = control.text(service)
    unchanged = control.file.is_file() and control.file.read_bytes() == content
    found = runfile.running(session.paths.state_dir)
    state = control.state()
    if not (unchanged and found and state.running and state.pid == found.pid):
        retire(session, control, found)
        _write(control.file, content)
        service.log.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        found = bring_up(session, control, control.install)
    if not with_secrets:
        for name in plan.left_out(os.environ):
            session.out.note(f"{name} is not passed on; --with-secrets writes it into the file")
    if session.json:
        session.out.json(
            {"installed": True, "file": str(control.file), "pid": found.pid, "url": found.url}
        )
    else:
        session.out.sentence(
            f"{control.kind} runs mlxd at {found.url}, pid {found.pid}; it is described in {control.file}"
        )


@click.command(cls=Command)
@click.pass_obj
@_told
def uninstall(session: Session) -> None:
    """Stop the service and take it out of the operating system's list; models and configuration stay."""
    control = of_user()
    state = control.state()
    installed = control.file.exists() or state.loaded
    found = runfile.running(session.paths.state_dir)
    retire(session, control, found if found and found.pid == state.pid else None)
    control.file.unlink(missing_ok=True)
    if session.json:
        session.out.json({"uninstalled": installed, "file": str(control.file)})
    elif installed:
        session.out.sentence("mlxd is no longer a service; `mlxctl start` still starts it")
    else:
        session.out.sentence("mlxd is not installed as a service")


def of_user() -> "Control":
    """Return this user's launchd or systemd."""
    from mlxd.supervisor.service import control

    return control.of_user(os.environ)


def installed() -> "Control | None":
    """Return what runs the daemon once it is installed, None before; costs one look at the disk."""
    control = of_user()
    return control if control.file.is_file() else None


@_told
def start(session: Session, control: "Control") -> RunFile:
    """Have the service started and return once it answers."""
    return bring_up(session, control, control.start)


@_told
def stop(
    session: Session, control: "Control", run: RunFile, *, timeout: float, force: bool
) -> None:
    """Have the service stopped and return once it and its workers have left; it stays installed."""
    asked = control.state().pid == run.pid
    if asked and force:
        # A killed daemon would be started again at once; one that is no longer loaded is not.
        control.forget()
    elif asked:
        control.stop()
    see_off(session, run, timeout=timeout, force=force, asked=asked)


def retire(session: Session, control: "Control", run: RunFile | None) -> None:
    """End the service where it is loaded, and `run`, whoever started that."""
    state = control.state()
    if state.loaded:
        control.forget()
    if run:
        see_off(session, run, asked=state.loaded and state.pid == run.pid)
    deadline = time.monotonic() + _START_S
    while (state := control.state()).loaded or state.running:
        if time.monotonic() > deadline:
            raise Failure(f"{control.kind} does not let go of mlxd (pid {state.pid})")
        time.sleep(_LOOK_AGAIN_S)


def bring_up(session: Session, control: "Control", act: Callable[[], None]) -> RunFile:
    """Act, and return the daemon that then answers. Raises Failure with the end of its log where none does."""
    from mlxd.supervisor.cli import background
    from mlxd.supervisor.cli.tail import last_lines

    log = session.paths.log_dir / background.LOG
    before = log.stat().st_size if log.exists() else 0
    act()
    deadline = time.monotonic() + _START_S
    seen = time.monotonic()
    with session.out.progress() as progress:
        progress.show("waiting for mlxd to answer")
        while time.monotonic() < deadline:
            found = runfile.running(session.paths.state_dir)
            if found is not None and background.answers(found):
                return found
            time.sleep(_LOOK_AGAIN_S)
            if control.state().running:
                seen = time.monotonic()
            elif time.monotonic() - seen > _GONE_S:
                break
    lines = last_lines(log, _SHOWN_LINES, after=before) if log.exists() else []
    said = "".join(f"\n  {text}" for text in lines)
    raise Failure(
        f"{control.kind} starts mlxd, but it does not answer; `mlxctl uninstall` ends the attempts; "
        f"{log} says:{said or ' nothing'}"
    )


def see_off(
    session: Session,
    run: RunFile,
    *,
    timeout: float | None = None,
    force: bool = False,
    asked: bool = False,
) -> None:
    """Stop a daemon, unless it was asked already, and return once it has left."""
    from mlxd.supervisor.cli import background

    with session.out.progress() as progress:

        def waiting(passed: float) -> None:
            progress.show(
                f"waiting for mlxd (pid {run.pid}) and its workers to leave, {passed:.0f} s"
            )

        seconds = background.STOP_S if timeout is None else timeout
        background.stop(run, timeout=seconds, force=force, waiting=waiting, asked=asked)
    runfile.remove(session.paths.state_dir, run.pid)


def _write(file: Path, content: bytes) -> None:
    """Replace the file in one step; it may hold secrets."""
    file.parent.mkdir(parents=True, exist_ok=True)
    fresh = file.with_name(f".{file.name}.new")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
        out.write(content)
    fresh.replace(file)
