"""Ask the way Anthropic's clients do, and put a stream together the way they do."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

import httpx

from mlxd.protocol.sse import Parser

USER = {"role": "user", "content": "hi"}
TOOL = {
    "name": "f",
    "description": "Do f",
    "input_schema": {"type": "object", "properties": {"x": {"type": "integer"}}},
}
CALL = '<tool_call>\n{"name": "f", "arguments": {"x": 1}}\n</tool_call>'
THINK: dict[str, Any] = {"thinking": {"type": "enabled", "budget_tokens": 2000}}
WITHIN = 60.0

Event = tuple[str | None, Any]


def body(**fields: object) -> dict[str, object]:
    """Return a small body with these fields."""
    return {"model": "any", "max_tokens": 500, "messages": [USER]} | fields


async def message(client: httpx.AsyncClient, path: str = "/v1/messages", **fields: object) -> Any:
    """Return a whole answer."""
    response = await client.post(path, json=body(**fields))
    assert response.status_code == 200, response.text
    return response.json()


async def events(
    client: httpx.AsyncClient, path: str = "/v1/messages", **fields: object
) -> list[Event]:
    """Return the events of a stream by name."""
    parser, found = Parser(), []
    async with client.stream("POST", path, json=body(stream=True, **fields)) as response:
        assert response.status_code == 200, await response.aread()
        assert response.headers["content-type"].startswith("text/event-stream")
        async for part in response.aiter_bytes():
            found += [(name, json.loads(data)) for name, data in parser.feed(part)]
    return found


async def counted(
    client: httpx.AsyncClient, path: str = "/v1/messages/count_tokens", **fields: object
) -> int:
    """Return what `count_tokens` says of a body."""
    response = await client.post(path, json=body(**fields))
    assert response.status_code == 200, response.text
    (number,) = response.json().values()
    assert isinstance(number, int)
    return number


def prompt_tokens(usage: Any) -> int:
    """Return the length of the prompt from an answer's usage."""
    kinds = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
    return sum(usage[kind] for kind in kinds)


def put_together(found: Iterable[Event]) -> Any:
    """Return the message that a stream tells; fails where the stream breaks its own rules."""
    content: list[Any] = []
    parts: list[str] = []
    told: Any = None
    for name, event in found:
        assert name == event["type"], "an event's name is its type"
        match event:
            case {"type": "message_start", "message": begun}:
                assert told is None
                told = begun
            case {"type": "ping"}:
                pass
            case {"type": "content_block_start", "index": index, "content_block": block}:
                assert index == len(content)
                content.append(block)
                parts = []
            case {"type": "content_block_delta", "index": index, "delta": delta}:
                assert index == len(content) - 1
                _add(content[-1], parts, delta)
            case {"type": "content_block_stop", "index": index}:
                assert index == len(content) - 1
                if content[-1]["type"] == "tool_use":
                    content[-1]["input"] = json.loads("".join(parts) or "{}")
            case {"type": "message_delta", "delta": delta, "usage": usage}:
                told |= delta | {"usage": told["usage"] | usage}
            case {"type": "message_stop"}:
                return told | {"content": content}
    raise AssertionError("the stream has no good end")


def _add(block: Any, parts: list[str], delta: Any) -> None:
    match delta:
        case {"type": "text_delta", "text": text}:
            block["text"] += text
        case {"type": "thinking_delta", "thinking": text}:
            block["thinking"] += text
        case {"type": "signature_delta", "signature": signature}:
            assert not block["signature"], "a block is signed once"
            block["signature"] = signature
        case {"type": "input_json_delta", "partial_json": part}:
            parts.append(part)
        case _:
            raise AssertionError(f"unknown delta {delta}")


def without_ids(content: Sequence[Any]) -> list[Any]:
    """Return blocks without the ids that every answer draws anew."""
    return [{key: value for key, value in block.items() if key != "id"} for block in content]
