"""Hold `mlxctl logs`."""

from pathlib import Path

import click

from mlxd.supervisor.cli.client import model_path
from mlxd.supervisor.cli.failure import Failure, Unreachable
from mlxd.supervisor.cli.session import Command, Session


@click.command(cls=Command)
@click.argument("model", required=False)
@click.option("-n", "--lines", "count", type=click.IntRange(min=0), default=50, show_default=True,
              help="Lines to show.")  # fmt: skip
@click.option("-f", "--follow", is_flag=True, help="Go on with new lines until interrupted.")
@click.pass_obj
def logs(session: Session, model: str | None, count: int, follow: bool) -> None:
    """Show the daemon's log, or that of one model's workers."""
    from mlxd.supervisor.cli import tail

    path = _file(session, model)
    lines = tail.last_lines(path, count)
    if session.json:
        session.out.json({"file": str(path), "lines": lines})
        return
    for line in lines:
        session.out.sentence(line)
    if follow:
        for line in tail.follow(path):
            session.out.sentence(line)


def _file(session: Session, model: str | None) -> Path:
    from mlxd.supervisor.cli.background import LOG
    from mlxd.supervisor.logs.logs import file_name

    folder = session.paths.log_dir
    path = folder / (LOG if model is None else file_name(model))
    if model is not None and not path.is_file():
        path = folder / file_name(_id_of(session, model))
    if not path.is_file():
        raise Failure(f"there is no log at {path}", code="no_log")
    return path


def _id_of(session: Session, name: str) -> str:
    """Ask the daemon whose alias this is; without a daemon the name stands for itself."""
    try:
        return str(session.client.get(model_path(name))["id"])
    except Unreachable:
        return name
