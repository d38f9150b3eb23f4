"""Hold `mlxctl bench`."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click
import msgspec

from mlxd.protocol.kinds import ModelKind
from mlxd.protocol.units import format_duration
from mlxd.supervisor.cli.chat import default_model
from mlxd.supervisor.cli.client import model_path
from mlxd.supervisor.cli.failure import Misused, Refused, Unreachable
from mlxd.supervisor.cli.list_models import Entry, Models
from mlxd.supervisor.cli.session import Command, Session

if TYPE_CHECKING:
    from mlxd.supervisor.bench import Plan
    from mlxd.supervisor.bench_figures import Figure, Findings

_HEADER = ("MEASURED", "MEDIAN", "LOW", "HIGH", "N", "UNIT")
_TOKENS = click.IntRange(min=2)


@click.command(cls=Command)
@click.argument("model", required=False)
@click.option("--streams", type=click.IntRange(1, 256), default=4, show_default=True,
              help="Answers at the same time.")  # fmt: skip
@click.option("--runs", type=click.IntRange(1, 1000), default=5, show_default=True,
              help="Times everything is measured.")  # fmt: skip
@click.option("--prompt-tokens", type=_TOKENS, help="About so long is a prompt; default: 512.")
@click.option("--max-tokens", type=_TOKENS, help="Length of an answer; default: 128.")
@click.pass_obj
def bench(
    session: Session,
    model: str | None,
    streams: int,
    runs: int,
    prompt_tokens: int | None,
    max_tokens: int | None,
) -> None:
    """Measure a model through the running daemon: time to first token, speed of reading and writing.

    Without MODEL it is the one that is loaded. Of a model that makes vectors, texts per second are measured. Each
    figure is a median; LOW and HIGH are the worst and the best of the samples. What others ask meanwhile counts too.
    """
    name = model or default_model(session.client.read("/v1/models", Models))
    entry = session.client.read(model_path(name), Entry)
    from mlxd.supervisor.bench import MEASURED, Plan, lengths

    if entry.kind not in MEASURED:
        kinds = ", ".join(MEASURED)
        raise Misused(f"{entry.id} is of kind {entry.kind}; bench measures models of {kinds}")
    prompt, answer = lengths(entry.context_length, prompt_tokens, max_tokens)
    found = _measure(
        session,
        Plan(
            model=entry.id,
            kind=ModelKind(entry.kind),
            runs=runs,
            streams=streams,
            prompt_tokens=prompt,
            max_tokens=answer,
        ),
    )
    if session.json:
        session.out.json(msgspec.to_builtins(found))
        return
    session.out.sentence(heading(found))
    session.out.table(_HEADER, rows(found.figures))
    for note in found.notes:
        session.out.note(note)


def _measure(session: Session, plan: "Plan") -> "Findings":
    import asyncio

    from mlxd.supervisor import client
    from mlxd.supervisor.bench import Bench

    with session.out.progress() as progress:

        async def run() -> "Findings":
            async with client.AsyncClient(session.client.url, session.client.api_key) as asked:
                return await Bench(asked, plan, progress.show).run()

        try:
            return asyncio.run(run())
        except client.Unreachable as error:
            raise Unreachable(error.message) from None
        except client.DaemonError as error:
            raise Refused(error.message, code=error.code, status=error.status) from None


def heading(found: "Findings") -> str:
    """Say what was measured, and how."""
    told = ", ".join(
        f"{name.replace('_', ' ')} {value}" for name, value in found.conditions.items()
    )
    loaded = f", loaded in {format_duration(found.load_seconds)}" if found.load_seconds else ""
    return f"{found.model} ({found.kind}): {told}, {found.runs} runs{loaded}"


def rows(figures: "list[Figure]") -> Iterator[tuple[str, ...]]:
    """Yield the lines of the table; short times are told in milliseconds."""
    for one in figures:
        small = one.unit == "s" and one.high < 1.0
        factor, unit = (1000.0, "ms") if small else (1.0, one.unit)
        shown = [f"{value * factor:.1f}" for value in (one.median, one.low, one.high)]
        yield one.name, *shown, str(len(one.samples)), unit
