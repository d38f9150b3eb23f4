"""Hold `mlxctl rm`."""

import sys

import click
import msgspec

from mlxd.protocol.downloads import Removed
from mlxd.protocol.errors import MlxdError
from mlxd.protocol.units import format_size
from mlxd.supervisor.cli.client import model_path
from mlxd.supervisor.cli.failure import Failure
from mlxd.supervisor.cli.pull import works_alone
from mlxd.supervisor.cli.session import Command, Session


@click.command(cls=Command)
@click.argument("models", metavar="MODEL...", nargs=-1, required=True)
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@click.option("--force", is_flag=True, help="Unload it first where it is loaded.")
@click.pass_obj
def rm(session: Session, models: tuple[str, ...], yes: bool, force: bool) -> None:
    """Delete models from the Hugging Face cache, half downloads too. Folders of your own are never touched."""
    if not yes:
        _ask(models)
    removed = []
    for model in models:
        removed.append(
            _alone(session, model) if works_alone(session) else _asked(session, model, force)
        )
        if not session.json:
            session.out.sentence(sentence(removed[-1]))
    if session.json:
        session.out.json(msgspec.to_builtins(removed))


def sentence(removed: Removed) -> str:
    """Say what came back."""
    first = f"unloaded {', '.join(removed.unloaded)}, " if removed.unloaded else ""
    return f"{first}deleted {removed.model}: {format_size(removed.freed_bytes)} freed"


def _ask(models: tuple[str, ...]) -> None:
    if not sys.stdin.isatty():
        raise click.UsageError("nobody is there to ask; --yes deletes without asking")
    if not click.confirm(f"Delete {', '.join(models)} from this disk?", err=True):
        raise Failure("nothing was deleted", code="declined")


def _asked(session: Session, model: str, force: bool) -> Removed:
    path = model_path(model) + ("?force=true" if force else "")
    return msgspec.convert(session.client.delete(path, timeout=None), Removed)


def _alone(session: Session, model: str) -> Removed:
    """Do what the daemon would do; without one, nothing is loaded."""
    from mlxd.config import catalog
    from mlxd.supervisor.downloads.fit import journal_of
    from mlxd.supervisor.downloads.removal import removable, remove_from_disk

    cache = session.paths.hub_cache
    try:
        spec = catalog.build(session.settings(), session.paths).resolve(model)
        repo, place = removable(spec, cache)
        freed = remove_from_disk(cache, journal_of(session.paths), repo)
    except MlxdError as error:
        raise Failure(error.message, code=error.code) from None
    return Removed(model=repo, path=str(place), freed_bytes=freed)
