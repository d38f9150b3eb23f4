"""Describe the answers of Ollama's `/api/chat` and `/api/generate` on the wire: each line of a stream, and the whole.

Durations are nanoseconds. The last line of a stream has the fields of `Totals`, no other has them.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TypeAlias

import msgspec
from msgspec import UNSET, UnsetType

NDJSON = "application/x-ndjson"


class CalledFunction(msgspec.Struct, frozen=True):
    """Hold a call's function; `arguments` is the object as the model wrote it."""

    index: int
    name: str
    arguments: msgspec.Raw


class ToolCall(msgspec.Struct, frozen=True):
    """Hold a call."""

    id: str
    function: CalledFunction


class ChosenToken(msgspec.Struct, frozen=True):
    """Hold a token with its log-probability."""

    token: str
    logprob: float
    bytes: list[int]


class TokenLogprob(msgspec.Struct, frozen=True):
    """Hold the token of a position, and its rivals where they were asked for."""

    token: str
    logprob: float
    bytes: list[int]
    top_logprobs: Sequence[ChosenToken] | UnsetType = UNSET


class AnswerMessage(msgspec.Struct, frozen=True, kw_only=True):
    """Hold the assistant's message, or what a line adds to it."""

    role: str = "assistant"
    content: str
    thinking: str | UnsetType = UNSET
    tool_calls: Sequence[ToolCall] | UnsetType = UNSET


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    """Say how an answer ended, what it counted and how long it took."""

    done_reason: str
    total_duration: int
    load_duration: int
    """From the request's arrival until its model was ready for it."""
    prompt_eval_count: int
    prompt_eval_duration: int
    eval_count: int
    eval_duration: int


class _Line(msgspec.Struct, frozen=True, kw_only=True):
    model: str
    created_at: str
    done: bool = False
    done_reason: str | UnsetType = UNSET
    total_duration: int | UnsetType = UNSET
    load_duration: int | UnsetType = UNSET
    prompt_eval_count: int | UnsetType = UNSET
    prompt_eval_duration: int | UnsetType = UNSET
    eval_count: int | UnsetType = UNSET
    eval_duration: int | UnsetType = UNSET
    logprobs: Sequence[TokenLogprob] | UnsetType = UNSET


class ChatLine(_Line, frozen=True, kw_only=True):
    """Hold a line, or the whole, of an answer to `/api/chat`."""

    message: AnswerMessage


class GenerateLine(_Line, frozen=True, kw_only=True):
    """Hold a line, or the whole, of an answer to `/api/generate`."""

    response: str
    thinking: str | UnsetType = UNSET


Line: TypeAlias = ChatLine | GenerateLine


def now() -> str:
    """Return the time as Ollama writes it: RFC 3339 in UTC."""
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")


def empty(path: str, model: str, done_reason: str | None = None) -> Line:
    """Return a line that adds nothing; with a reason it is the answer to a body that only loads or unloads."""
    done = {} if done_reason is None else {"done": True, "done_reason": done_reason}
    fields = msgspec.to_builtins(_Line(model=model, created_at=now())) | done
    if path.startswith("/api/generate"):
        return GenerateLine(**fields, response="")
    return ChatLine(**fields, message=AnswerMessage(content=""))
