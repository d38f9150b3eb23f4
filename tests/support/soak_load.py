"""Ask a daemon all kinds of things at a low rate, and say of each answer whether it is the one to be expected."""

import json
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

STEADY, PASSING, VECTORS = "steady", "passing", "vectors"
"""A model that stays, one that is unloaded whenever nobody asks, one that makes vectors."""
_WORDS = "the quick brown fox jumps over a lazy dog while rain falls on Paris and nobody asks why".split()


@dataclass(frozen=True)
class Wish:
    """Say what to ask, and what may come of it."""

    path: str
    body: Mapping[str, Any]
    expects: str
    """`ok`, or the code of the error."""
    end: str = ""
    """What a stream's last part holds; empty for an answer in one piece."""
    leaves: bool = False
    """The client leaves in the midst of the stream."""
    headers: Mapping[str, str] = field(default_factory=dict)


def wishes(chance: random.Random) -> dict[str, Wish]:
    """Return one wish of every kind, with new words in it."""
    model = chance.choice((STEADY, STEADY, PASSING))
    words = " ".join(chance.choices(_WORDS, k=chance.randint(3, 60)))
    turn = [{"role": "user", "content": words}]
    limit = chance.randint(1, 48)
    chat = {"model": model, "messages": turn, "max_tokens": limit}
    responses = {"model": model, "input": words, "max_output_tokens": limit}
    endless = {"stream": True, "max_tokens": 400, "ignore_eos": True}
    texts = [" ".join(chance.choices(_WORDS, k=8)) for _ in range(chance.randint(1, 6))]
    completions, messages = "/v1/chat/completions", "/v1/messages"
    stream = {"stream": True}
    return {
        "chat": Wish(completions, chat, "ok"),
        "chat stream": Wish(completions, chat | stream, "ok", "[DONE]"),
        "chat cancelled": Wish(completions, chat | endless, "ok", "[DONE]", leaves=True),
        "messages": Wish(messages, chat, "ok"),
        "messages stream": Wish(messages, chat | stream, "ok", "message_stop"),
        "messages cancelled": Wish(messages, chat | endless, "ok", "message_stop", leaves=True),
        "responses": Wish("/v1/responses", responses, "ok"),
        "responses stream": Wish(
            "/v1/responses", responses | stream | {"store": False}, "ok", '"response":{"id"'
        ),
        "ollama stream": Wish("/api/chat", {"model": model, "messages": turn,
                                            "options": {"num_predict": limit}}, "ok", '"done":true'),
        "embeddings": Wish("/v1/embeddings", {"model": VECTORS, "input": texts}, "ok"),
        "unknown model": Wish(completions, chat | {"model": "org/nobody"}, "model_not_found"),
        "wrong field": Wish(completions, chat | {"temperature": "hot"}, "invalid_request"),
        "too long": Wish(
            completions,
            chat | {"model": STEADY, "messages": [{"role": "user", "content": "too long " * 9000}]},
            "context_length_exceeded",
        ),
        "wrong kind": Wish("/v1/embeddings", {"model": STEADY, "input": "a"}, "invalid_request"),
        "wrong route": Wish("/v1/nothing", {}, "route_not_found"),
        "wrong key": Wish(completions, chat, "invalid_api_key", headers={"x-api-key": "mlxd-wrong"}),
    }  # fmt: skip


async def outcome(client: httpx.AsyncClient, wish: Wish, chance: random.Random) -> str:
    """Return `ok`, `left`, the code of an error, or a sentence that begins with DEFECT."""
    try:
        async with client.stream(
            "POST", wish.path, json=dict(wish.body), headers=dict(wish.headers)
        ) as response:
            if response.status_code >= 400:
                return code_of(response.status_code, await response.aread())
            return await _read(response, wish, chance)
    except httpx.HTTPError as error:
        return f"DEFECT {type(error).__name__}: {error}"


async def _read(response: httpx.Response, wish: Wish, chance: random.Random) -> str:
    patience = chance.randint(0, 12) if wish.leaves else None
    tail, pieces = "", 0
    async for piece in response.aiter_text():
        tail, pieces = (tail + piece)[-4000:], pieces + 1
        if patience is not None and pieces > patience:
            return "left"
    if wish.end and wish.end not in tail:
        return f"DEFECT a stream without its end: {tail[-200:]!r}"
    return "ok"


def code_of(status: int, content: bytes) -> str:
    """Return the code of an error in whichever dialect it is."""
    try:
        body = json.loads(content)
        error = body["error"]
        return str(body["code"] if isinstance(error, str) else error["code"])
    except (ValueError, KeyError, TypeError):
        return f"DEFECT HTTP {status} {content[:200]!r}"
