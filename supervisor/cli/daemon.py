"""Hold `mlxctl start`, `stop` and `restart`."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from mlxd.supervisor import runfile
from mlxd.supervisor.cli import service
from mlxd.supervisor.cli.failure import Misused
from mlxd.supervisor.cli.reload import option as value_of
from mlxd.supervisor.cli.session import Command, Session
from mlxd.supervisor.runfile import RunFile

_START_S = 30.0
_STOP_S = 150.0


def _start_options(function: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.option(
            "--port", type=click.IntRange(0, 65535), help="Port to listen on, 0 = any free one."
        ),
        click.option("--host", help="Address to listen on."),
        click.option(
            "--config",
            type=click.Path(exists=True, dir_okay=False, resolve_path=True, path_type=Path),
            help="Configuration file [env: MLXD_CONFIG]",
        ),
    ):
        function = option(function)
    return function


@click.command(cls=Command)
@_start_options
@click.pass_obj
def start(session: Session, config: Path | None, host: str | None, port: int | None) -> None:
    """Start the daemon in the background and wait until it answers; once installed, as the service it is."""
    if found := runfile.running(session.paths.state_dir):
        _report(
            session,
            found,
            "already_running",
            f"mlxd is already running at {found.url}, pid {found.pid}",
        )
        return
    session.settings(config)  # a mistake in the configuration is shown here rather than in a log
    if control := service.installed():
        _refuse_options(config, host, port)
        found = service.start(session, control)
        _report(session, found, "started", f"mlxd is running at {found.url}, pid {found.pid}")
        return
    _launch(session, _arguments(config, host, port), None)


@click.command(cls=Command)
@click.option("--force", is_flag=True, help="Kill it if it does not leave within 10 s.")
@click.option("--timeout", type=float, default=_STOP_S, show_default=True, help="Seconds to wait.")
@click.pass_obj
def stop(session: Session, force: bool, timeout: float) -> None:
    """Stop the daemon; done when it and its workers have left. A service stays installed: the next login starts it."""
    found = runfile.running(session.paths.state_dir)
    if found is None:
        if session.json:
            session.out.json({"stopped": False, "running": False})
        else:
            session.out.sentence("mlxd is not running")
        return
    if control := service.installed():
        service.stop(session, control, found, timeout=timeout, force=force)
    else:
        service.see_off(session, found, timeout=timeout, force=force)
    _report(session, found, "stopped", f"stopped mlxd, pid {found.pid}")


@click.command(cls=Command)
@_start_options
@click.pass_obj
def restart(session: Session, config: Path | None, host: str | None, port: int | None) -> None:
    """Stop the daemon if it runs, start it again; without options the way it was started before."""
    session.settings(config)
    found = runfile.running(session.paths.state_dir)
    if control := service.installed():
        _refuse_options(config, host, port)
        if found:
            service.stop(session, control, found, timeout=_STOP_S, force=False)
        found = service.start(session, control)
        _report(session, found, "started", f"mlxd is running at {found.url}, pid {found.pid}")
        return
    if found is None:
        _launch(session, _arguments(config, host, port), None)
        return
    line, folder = _line_of(found)
    service.see_off(session, found)
    if config or host or port is not None:
        _launch(session, _arguments(config, host, port), None)
    else:
        _launch(session, line, folder)


def _arguments(config: Path | None, host: str | None, port: int | None) -> list[str]:
    from mlxd.supervisor.cli import background

    return background.command(background.options(config, host, port))


def _refuse_options(config: Path | None, host: str | None, port: int | None) -> None:
    if config or host or port is not None:
        raise Misused("mlxd is installed as a service: `mlxctl install` takes these options")


def _line_of(run: RunFile) -> tuple[list[str], Path]:
    import psutil

    from mlxd.supervisor.cli import background

    process = psutil.Process(run.pid)
    return background.command(stated(process.cmdline())), Path(process.cwd())


def stated(words: Sequence[str]) -> list[str]:
    """Return the options on a daemon's command line; what runs it there need not be what it was started with.

    On a Mac the python of a framework, Homebrew's and python.org's, puts another program in its own place, which
    finds no virtual environment when it is started by itself (CPython, Mac/Tools/pythonw.c).
    """
    pairs = ((name, value_of(words, name)) for name in ("--config", "--host", "--port"))
    return [word for name, value in pairs if value is not None for word in (name, value)]


def _launch(session: Session, line: list[str], folder: Path | None) -> None:
    from mlxd.supervisor.cli import background

    with session.out.progress() as progress:
        progress.show("waiting for mlxd to answer")
        run = background.start(line, session.paths, timeout=_START_S, folder=folder)
    _report(session, run, "started", f"mlxd is running at {run.url}, pid {run.pid}")


def _report(session: Session, run: RunFile, did: str, sentence: str) -> None:
    if session.json:
        session.out.json({did: True, "pid": run.pid, "url": run.url})
    else:
        session.out.sentence(sentence)
