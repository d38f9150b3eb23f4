"""Hold `mlxctl events`."""

import json
import time
from collections.abc import Mapping
from contextlib import closing
from typing import Any

import click

from mlxd.protocol.units import format_size
from mlxd.supervisor.cli.failure import Unreachable
from mlxd.supervisor.cli.session import Command, Session

_COMMON = ("event", "seq", "at", "model", "cause", "reason")
"""What a line shows in its own way, or not at all."""


@click.command(cls=Command)
@click.argument("model", required=False)
@click.option("-n", "--lines", "count", type=click.IntRange(0, 1000), default=20, show_default=True,
              help="Past events to show.")  # fmt: skip
@click.option("-f", "--follow", is_flag=True, help="Go on with what happens until interrupted.")
@click.pass_obj
def events(session: Session, model: str | None, count: int, follow: bool) -> None:
    """Show what happened to the workers and the daemon, and why; with --json one object per line."""
    asked = 1000 if model else count
    path = f"/v1/events?last={asked}&follow={str(follow).lower()}"
    shown: list[dict[str, Any]] = []
    with closing(session.client.follow(path)) as stream:
        if not follow:
            shown = [entry for data in stream if _is_about(entry := json.loads(data), model)]
            for entry in shown[-count:] if count else []:
                _show(session, entry)
            return
        for data in stream:
            if _is_about(entry := json.loads(data), model):
                _show(session, entry)
    raise Unreachable("the daemon has ended the stream of its events")


def _is_about(entry: Mapping[str, Any], model: str | None) -> bool:
    return model is None or entry.get("model") == model


def _show(session: Session, entry: Mapping[str, Any]) -> None:
    session.out.sentence(json.dumps(entry, ensure_ascii=False) if session.json else sentence(entry))


def sentence(entry: Mapping[str, Any]) -> str:
    """Put an event on one line: when, what, whose, the rest, and why."""
    at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(entry["at"]))
    words = [at, str(entry["event"])]
    if model := entry.get("model"):
        words.append(str(model))
    words += [_field(name, value) for name, value in entry.items() if name not in _COMMON]
    if cause := entry.get("cause"):
        words.append(f"- {' '.join(str(cause).split())}")
    return " ".join(words)


def _field(name: str, value: object) -> str:
    if name.endswith("_bytes") and isinstance(value, int):
        return f"{name.removesuffix('_bytes')}={format_size(value)}"
    if isinstance(value, list):
        return f"{name}={','.join(map(str, value)) or 'none'}"
    if isinstance(value, bool):
        return f"{name}={str(value).lower()}"
    return f"{name}={'none' if value is None else value}"
