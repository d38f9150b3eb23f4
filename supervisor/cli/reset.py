"""Hold `mlxctl reset`."""

import click
import msgspec

from mlxd.protocol.admin import ResetResult
from mlxd.supervisor.cli.session import Command, Session


@click.command(cls=Command)
@click.argument("model")
@click.pass_obj
def reset(session: Session, model: str) -> None:
    """Forget a model's failures, so that the next request tries it again."""
    answer = session.client.post("/v1/models/reset", {"model": model})
    if session.json:
        session.out.json(answer)
    else:
        session.out.sentence(sentence(msgspec.convert(answer, ResetResult)))


def sentence(result: ResetResult) -> str:
    """Say what was forgotten."""
    if not result.was_in_backoff:
        return f"{result.model} has no failure to forget: it is {result.state}"
    return f"{result.model} may be tried again; it had failed: {result.error}"
