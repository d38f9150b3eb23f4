"""Hold `mlxctl search`."""

from collections.abc import Iterable, Iterator

import click
import msgspec

from mlxd.protocol.downloads import Found
from mlxd.protocol.units import format_size
from mlxd.supervisor.cli.failure import Failure
from mlxd.supervisor.cli.session import Command, Session

_HEADER = ("NAME", "SIZE", "FITS", "DOWNLOADS", "TASK")


@click.command(cls=Command)
@click.argument("words", metavar="QUERY...", nargs=-1, required=True)
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 100))
@click.pass_obj
def search(session: Session, words: tuple[str, ...], limit: int) -> None:
    """Find MLX models on the hub, and say which of them this machine's memory holds. Needs no daemon."""
    from mlxd.supervisor.downloads.fit import budget

    room = budget(session.settings())
    found = _found(" ".join(words), limit)
    if session.json:
        shown = [{**msgspec.to_builtins(one), "fits": fit(one, room)} for one in found]
        session.out.json({"budget_bytes": room, "data": shown})
        return
    session.out.table(_HEADER, rows(found, room))
    session.out.note(f"budget for models: {format_size(room)}; `mlxctl pull NAME` gets one")


def fit(found: Found, room: int) -> bool | None:
    """Tell whether a budget holds it, None where its size is unknown."""
    from mlxd.supervisor.downloads.fit import fits

    return None if found.weights_bytes is None else fits(found.weights_bytes, room)


def rows(found: Iterable[Found], room: int) -> Iterator[tuple[str, ...]]:
    """Yield the lines of the table."""
    for one in found:
        yield (
            one.model,
            format_size(one.weights_bytes) if one.weights_bytes else "-",
            {True: "yes", False: "no", None: "-"}[fit(one, room)],
            str(one.downloads),
            f"{one.task or '-'}{', gated' if one.gated else ''}",
        )


def _found(query: str, limit: int) -> list[Found]:
    from mlxd.supervisor.downloads.hub import Hub, explained

    try:
        return Hub(None).search(query, limit)
    except Exception as error:
        if (known := explained(error, query)) is None:
            raise
        raise Failure(known.message, code=known.code) from None
