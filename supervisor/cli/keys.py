"""Hold `mlxctl keys`: make, list, replace and revoke API keys, with or without a daemon that runs."""

import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

import click
import msgspec

from mlxd.protocol.keys import KeyInfo, KeyList, KeyRequest, NewKey, Revoked
from mlxd.supervisor import runfile
from mlxd.supervisor.cli.failure import Misused, Refused
from mlxd.supervisor.cli.session import Command, Session

if TYPE_CHECKING:
    from mlxd.supervisor.access.keys import Keys

T = TypeVar("T")

_PATH = "/v1/keys"
_HEADER = ("NAME", "RIGHTS", "MODELS", "PRIORITY", "REQ/MIN", "TOK/MIN", "AT ONCE", "EXPIRES")
_RIGHTS = click.Choice(["use", "watch", "admin"])
_LEVELS = click.Choice(["high", "normal", "low"])
_COUNT = click.IntRange(min=1)


@click.group()
def keys() -> None:
    """Make, list, replace and revoke API keys."""


@keys.command(cls=Command)
@click.argument("name")
@click.option(
    "--model", "models", multiple=True, help="Id, alias or pattern it may use; default: all."
)
@click.option(
    "--right", "rights", multiple=True, type=_RIGHTS, default=("use",), show_default=True,
    help="What it may do; admin includes all.",
)  # fmt: skip
@click.option(
    "--priority", type=_LEVELS, default="normal", show_default=True,
    help="What its requests count as, and the most they may ask for.",
)  # fmt: skip
@click.option("--requests-per-minute", type=_COUNT, help="Requests it may send in a minute.")
@click.option("--tokens-per-minute", type=_COUNT, help="Tokens, read and written, in a minute.")
@click.option("--max-in-flight", type=_COUNT, help="Requests it may have running.")
@click.option("--expires-in", metavar="DURATION", help="Time it is worth something, such as 90d.")
@click.option("--isolate-cache", is_flag=True, help="Share no remembered prompt with other keys.")
@click.option("--signed", is_flag=True, help="It signs requests and is never sent itself.")
@click.pass_obj
def add(session: Session, /, **wanted: Any) -> None:
    """Make a key and show it, for the only time."""
    try:
        request = msgspec.convert(wanted, KeyRequest)
    except msgspec.ValidationError as error:
        raise Misused(str(error).replace(" - at `$.", ": `")) from None
    body = msgspec.to_builtins(request)
    answer = _ask(
        session,
        lambda: session.client.post(_PATH, body),
        "keys add",
        request.name,
        lambda book: book.add(request),
    )
    _show(session, answer)


@keys.command("list", cls=Command)
@click.pass_obj
def list_keys(session: Session) -> None:
    """Show the keys; what they open is nowhere to be seen again."""
    if _reaches_a_daemon(session):
        answer = session.client.get(_PATH)
    else:
        now = time.time()
        answer = msgspec.to_builtins(KeyList([r.info(now) for r in _book(session).ring().records]))
    if session.json:
        session.out.json(answer)
        return
    found = msgspec.convert(answer, KeyList).keys
    if found:
        session.out.table(_HEADER, rows(found))
    else:
        session.out.sentence("no keys: whoever reaches the daemon may use it")


@keys.command(cls=Command)
@click.argument("name")
@click.option("--grace", metavar="DURATION", help="Time the old key is still worth something: 10m.")
@click.pass_obj
def rotate(session: Session, name: str, grace: str | None) -> None:
    """Replace a key by a new one of the same name; the old one is worth nothing from then on."""
    answer = _ask(
        session,
        lambda: session.client.post(f"{_PATH}/{quote(name, safe='')}/rotate", {"grace": grace}),
        "keys rotate",
        name,
        lambda book: book.rotate(name, grace),
    )
    _show(session, answer)


@keys.command(cls=Command)
@click.argument("name")
@click.pass_obj
def revoke(session: Session, name: str) -> None:
    """Take a key back."""
    answer = _ask(
        session,
        lambda: session.client.delete(f"{_PATH}/{quote(name, safe='')}"),
        "keys revoke",
        name,
        lambda book: Revoked(book.revoke(name).name, len(book.ring().records)),
    )
    gone = msgspec.convert(answer, Revoked)
    if session.json:
        session.out.json(answer)
        return
    session.out.sentence(f"{gone.name} is revoked")
    if not gone.left:
        session.out.note("that was the last key of `mlxctl keys`")


def rows(found: Iterable[KeyInfo]) -> Iterable[tuple[str, ...]]:
    """Yield the lines of the table."""
    for key in found:
        ends = "never" if key.expires_at is None else _day(key.expires_at)
        if key.old_until is not None:
            ends += f", old one {_day(key.old_until)}"
        yield (
            key.name,
            ",".join(key.rights) + (" (signs)" if key.signed else ""),
            ",".join(key.models) or "all",
            key.priority,
            str(key.requests_per_minute or "-"),
            str(key.tokens_per_minute or "-"),
            str(key.max_in_flight or "-"),
            "expired" if key.expired else ends,
        )


def _show(session: Session, answer: Any) -> None:
    if session.json:
        session.out.json(answer)
        return
    session.out.sentence(msgspec.convert(answer, NewKey).key)
    session.out.note("shown this once; only its digest is kept")


def _reaches_a_daemon(session: Session) -> bool:
    return bool(session.url) or runfile.running(session.paths.state_dir) is not None


def _book(session: Session) -> "Keys":
    from mlxd.supervisor.access.keys import FILE, Keys

    return Keys(session.paths.state_dir / FILE)


def _ask(
    session: Session,
    remotely: Callable[[], Any],
    what: str,
    name: str,
    here: "Callable[[Keys], T]",
) -> Any:
    """Have the daemon do it, or do it here where none runs: the first key comes before the first start."""
    if _reaches_a_daemon(session):
        return remotely()
    from mlxd.protocol.errors import MlxdError
    from mlxd.supervisor.access.audit import FILE, Audit

    audit = Audit(session.paths.log_dir / FILE)
    session.paths.prepare()
    try:
        answer = here(_book(session))
    except MlxdError as error:
        audit.write("mlxctl", what, about=name[:64], result=error.code)
        raise Refused(error.message, code=error.code, status=error.status) from None
    audit.write("mlxctl", what, about=name)
    return msgspec.to_builtins(answer)


def _day(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(at))
