"""Hold `mlxctl unload`."""

import click
import msgspec

from mlxd.protocol.admin import Ps, UnloadResult
from mlxd.protocol.lifecycle import ALIVE
from mlxd.protocol.units import format_size
from mlxd.supervisor.cli.session import Command, Session


@click.command(cls=Command)
@click.argument("models", metavar="[MODEL...]", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Unload every model.")
@click.option(
    "--force", is_flag=True, help="Do not wait for running requests; they end with an error."
)
@click.pass_obj
def unload(session: Session, models: tuple[str, ...], everything: bool, force: bool) -> None:
    """Unload models; done when their memory is back."""
    if bool(models) == everything:
        raise click.UsageError("name the models to unload, or use --all")
    results = []
    with session.out.progress() as progress:
        for model in _loaded(session) if everything else models:
            progress.show(f"waiting until the worker of {model} has left")
            body = {"model": model, "force": force}
            answer = session.client.post("/v1/models/unload", body)
            results.append(msgspec.convert(answer, UnloadResult))
            progress.show("")
            if not session.json:
                session.out.sentence(sentence(results[-1]))
    if session.json:
        session.out.json(msgspec.to_builtins(results))
    elif not results:
        session.out.sentence("no model is loaded")


def _loaded(session: Session) -> list[str]:
    found = session.client.read("/v1/ps", Ps)
    return [status.id for status in found.models if status.state in ALIVE]


def sentence(result: UnloadResult) -> str:
    """Say what came back."""
    if not result.was_loaded:
        return f"{result.model} was not loaded"
    freed = format_size(result.freed_bytes)
    how = "" if result.exit_code in (0, None) else f" with exit code {result.exit_code}"
    return f"unloaded {result.model}: {freed} freed, pid {result.pid} has left{how}"
