"""Hold `mlxctl recommend`."""

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

import click
import msgspec

from mlxd.protocol.errors import ConfigError
from mlxd.protocol.kinds import ModelKind
from mlxd.protocol.units import format_size, parse_size
from mlxd.supervisor.cli.session import Command, Session

if TYPE_CHECKING:
    from mlxd.config.recommended import Recommended

_HEADER = ("NAME", "KIND", "SIZE", "ABOUT")


@click.command(cls=Command)
@click.option(
    "--kind",
    type=click.Choice([kind.value for kind in ModelKind]),
    help="Only models of this kind.",
)
@click.option("--memory", metavar="SIZE", help="For a machine with this budget instead: 16GB.")
@click.option("--all", "everything", is_flag=True, help="Those that do not fit, too.")
@click.pass_obj
def recommend(session: Session, kind: str | None, memory: str | None, everything: bool) -> None:
    """Show models that this machine's memory holds, the largest first. Needs no daemon, opens no connection.

    The list is mlxd's own, put together by hand, and says how old it is; sizes are estimates until a model is pulled.
    """
    from mlxd.config.recommended import read
    from mlxd.supervisor.downloads.fit import budget, fits

    room = _size(memory) if memory else budget(session.settings())

    def holds(one: "Recommended") -> bool:
        return fits(one.weights_bytes, room)

    known = read()
    wanted = [one for one in known.models if kind in (None, one.kind)]
    shown = wanted if everything else choose(wanted, holds)
    if session.json:
        data = [
            {**msgspec.to_builtins(one), "weights_bytes": one.weights_bytes, "fits": holds(one)}
            for one in shown
        ]
        as_of = known.as_of.isoformat()
        session.out.json({"as_of": as_of, "budget_bytes": room, "data": data})
        return
    session.out.table(_HEADER, rows(shown, holds))
    session.out.note(f"budget for models: {format_size(room)}; `mlxctl pull NAME` gets one")
    session.out.note(
        f"a list of our own, as of {known.as_of}; sizes are estimates, `mlxctl pull NAME --dry-run` asks the hub"
    )


def choose(
    wanted: "Iterable[Recommended]", holds: "Callable[[Recommended], bool]"
) -> "list[Recommended]":
    """Return those that fit, by kind, the largest first."""
    kinds = list(ModelKind)
    fitting = [one for one in wanted if holds(one)]
    return sorted(fitting, key=lambda one: (kinds.index(one.kind), -one.weights_bytes))


def rows(
    shown: "Iterable[Recommended]", holds: "Callable[[Recommended], bool]"
) -> Iterator[tuple[str, ...]]:
    """Yield the lines of the table."""
    for one in shown:
        about = one.about if holds(one) else f"{one.about} (does not fit)"
        yield one.model, one.kind, format_size(one.weights_bytes), about


def _size(text: str) -> int:
    try:
        return parse_size(text)
    except ValueError as error:
        raise ConfigError(f"--memory: {error}") from None
