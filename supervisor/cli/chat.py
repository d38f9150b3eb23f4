"""Hold `mlxctl chat`."""

import sys
from typing import Any

import click

from mlxd.supervisor.cli.answer import Answer
from mlxd.supervisor.cli.failure import Failure, Misused, Unreachable
from mlxd.supervisor.cli.list_models import Models
from mlxd.supervisor.cli.session import Command, Session

_HELP = "/clear starts over, /bye leaves, Ctrl-C stops an answer"


@click.command(cls=Command)
@click.argument("model", required=False)
@click.argument("prompt", nargs=-1)
@click.option("--system", help="What the model is told before the conversation.")
@click.option("--max-tokens", type=click.IntRange(min=1), help="Longest answer.")
@click.option("--temperature", type=click.FloatRange(min=0), help="0 = always the likeliest word.")
@click.pass_obj
def chat(
    session: Session,
    model: str | None,
    prompt: tuple[str, ...],
    system: str | None,
    max_tokens: int | None,
    temperature: float | None,
) -> None:
    """Talk to a model: once with PROMPT or with text from a pipe, else until /bye."""
    fields = {"max_tokens": max_tokens, "temperature": temperature}
    body: dict[str, Any] = {
        "model": model or default_model(session.client.read("/v1/models", Models)),
        "messages": [{"role": "system", "content": system}] if system else [],
        **{name: value for name, value in fields.items() if value is not None},
    }
    if prompt or not sys.stdin.isatty():
        _once(session, body, " ".join(prompt) or sys.stdin.read())
    elif session.json:
        raise Misused("--json needs a PROMPT")
    else:
        _converse(session, body)


def default_model(models: Models) -> str:
    """Return the model to talk to when none is named: one that is loaded, else the first."""
    text = [entry for entry in models.data if entry.kind in ("text", "vision") and not entry.error]
    if not text:
        raise Misused("no model to chat with; `mlxctl list` shows what there is")
    return next((entry.id for entry in text if entry.state == "ready"), text[0].id)


def _once(session: Session, body: dict[str, Any], prompt: str) -> None:
    if not prompt.strip():
        raise Misused("the prompt is empty")
    body["messages"].append({"role": "user", "content": prompt})
    if session.json:
        session.out.json(session.client.post("/v1/chat/completions", body))
    else:
        Answer(session, body).show()


def _converse(session: Session, body: dict[str, Any]) -> None:
    import readline  # noqa: F401  (its import gives input() history and editing)

    session.out.note(f"{body['model']}: {_HELP}")
    opening = list(body["messages"])
    while (line := _ask()) != "/bye":
        if line == "/clear":
            body["messages"] = list(opening)
        elif line.startswith("/"):
            session.out.note(_HELP)
        elif line:
            _exchange(session, body, line)


def _exchange(session: Session, body: dict[str, Any], line: str) -> None:
    before = list(body["messages"])
    body["messages"].append({"role": "user", "content": line})
    try:
        body["messages"].append({"role": "assistant", "content": _answer(session, body)})
    except Unreachable:
        raise
    except Failure as failure:
        # Too long, too many at once: the next line may do better, without this one.
        session.out.complain(failure)
        body["messages"] = before


def _ask() -> str:
    try:
        return input(">>> ").strip()
    except EOFError:
        click.echo()
        return "/bye"


def _answer(session: Session, body: dict[str, Any]) -> str:
    answer = Answer(session, body)
    try:
        answer.show()
    except KeyboardInterrupt:
        # Leaving the stream closed the connection, and that cancels the request.
        session.out.note(" (stopped)")
    return answer.text
