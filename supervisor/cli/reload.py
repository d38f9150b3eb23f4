"""Hold `mlxctl reload`."""

import os
import signal
from collections.abc import Sequence
from pathlib import Path

import click

from mlxd.supervisor import runfile
from mlxd.supervisor.cli.failure import Unreachable
from mlxd.supervisor.cli.session import Command, Session


@click.command(cls=Command)
@click.pass_obj
def reload(session: Session) -> None:
    """Have the running daemon read its configuration again; requests go on."""
    found = runfile.running(session.paths.state_dir)
    if found is None:
        raise Unreachable("mlxd is not running here; `mlxctl start` starts it")
    # A mistake is shown here; the daemon itself would only log it and go on as before.
    session.settings(_config_of(found.pid))
    os.kill(found.pid, signal.SIGUSR1)
    if session.json:
        session.out.json({"reloaded": True, "pid": found.pid})
    else:
        session.out.sentence(
            f"mlxd (pid {found.pid}) reads its configuration again; `mlxctl logs` tells what changed"
        )


def _config_of(pid: int) -> Path | None:
    import psutil

    process = psutil.Process(pid)
    named = option(process.cmdline(), "--config")
    return None if named is None else Path(process.cwd()) / named


def option(words: Sequence[str], name: str) -> str | None:
    """Return the value a command line gives to an option, in either way of writing it."""
    for word, following in zip(words, [*words[1:], ""], strict=True):
        if word == name:
            return following
        if word.startswith(f"{name}="):
            return word.removeprefix(f"{name}=")
    return None
