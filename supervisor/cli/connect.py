"""Hold `mlxctl connect`."""

from typing import Any

import click

from mlxd.supervisor.cli import snippets
from mlxd.supervisor.cli.client import Client
from mlxd.supervisor.cli.failure import Refused, Unreachable
from mlxd.supervisor.cli.session import Command, Session
from mlxd.supervisor.cli.snippets import Target

YOUR_KEY = "YOUR_KEY"
_DEMO = "mlxd-demo"


@click.command(cls=Command)
@click.argument("app", required=False, type=click.Choice(list(snippets.SNIPPETS)))
@click.option("--model", help="Model to name; default: one that is loaded, else the first.")
@click.option("--container", is_flag=True, help="The program runs in a container on this machine.")
@click.pass_obj
def connect(session: Session, app: str | None, model: str | None, container: bool) -> None:
    """Print what a program has to be told to use this daemon; without APP, list the programs.

    The address is that of the daemon that runs here. No key is printed: where one is needed, YOUR_KEY stands for it.
    """
    if app is None:
        _list(session)
        return
    target = _target(session, model)
    snippet = snippets.SNIPPETS[app]
    if container or snippet.containers:
        target = target.from_container()
    text = snippet.write(target)
    if session.json:
        session.out.json(
            {
                "app": app,
                "language": snippet.language,
                "place": snippet.place,
                "text": text,
                "url": target.url,
                "model": target.model,
            }
        )
    else:
        session.out.note(f"for {snippet.place}:")
        session.out.piece(text)


def _list(session: Session) -> None:
    if session.json:
        session.out.json({name: found.place for name, found in snippets.SNIPPETS.items()})
    else:
        rows = [(name, found.language, found.place) for name, found in snippets.SNIPPETS.items()]
        session.out.table(("APP", "LANGUAGE", "GOES INTO"), rows)


def _target(session: Session, wanted: str | None) -> Target:
    """Return the daemon and a model of it; one that does not answer is described all the same."""
    url = session.client.url
    try:
        key = YOUR_KEY if _is_locked(url) else snippets.NO_KEY
        entries: list[dict[str, Any]] = session.client.get("/v1/models")["data"]
    except Unreachable:
        session.out.note(f"no daemon answers at {url}; the model's name is a guess")
        return Target(url, wanted or _DEMO)
    except Refused as refused:
        if refused.status not in (401, 403):
            raise
        return Target(url, wanted or _DEMO, YOUR_KEY)
    entry = _entry(entries, wanted)
    return Target(
        url,
        wanted or str(entry.get("id", _DEMO)),
        key,
        int(entry.get("context_length") or Target.context_length),
        images=entry.get("kind") == "vision",
    )


def _is_locked(url: str) -> bool:
    """Tell whether a request needs a key, by sending one without."""
    try:
        Client(url).get("/v1/models")
    except Refused as refused:
        return refused.status == 401
    return False


def _entry(entries: list[dict[str, Any]], wanted: str | None) -> dict[str, Any]:
    """Return the model that is wanted, or one to begin with."""
    if wanted is not None:
        named = (e for e in entries if wanted == e["id"] or wanted in e.get("aliases", ()))
        return next(named, {})
    writing = [e for e in entries if e.get("kind") in ("text", "vision") and not e.get("error")]
    return next((e for e in writing if e.get("state") == "ready"), next(iter(writing), {}))
