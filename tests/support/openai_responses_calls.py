"""Ask for responses the way OpenAI's clients do, and put streams together the way they do."""

import json
from typing import Any

import httpx
from openai.types.responses import ResponseStreamEvent
from pydantic import TypeAdapter

from mlxd.protocol.sse import Parser

FUNCTION = {"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": False}
CUSTOM = {"type": "custom", "name": "note", "description": "Write a note."}
CALL = '<tool_call>\n{"name": "f", "arguments": {"x": 1}}\n</tool_call>'
WITHIN = 60.0
STREAM_EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
Event = dict[str, Any]


async def respond(client: httpx.AsyncClient, **fields: object) -> Any:
    """Return a whole response."""
    response = await client.post("/v1/responses", json={"model": "m", "input": "hi"} | fields)
    assert response.status_code == 200, response.text
    return response.json()


async def events(
    client: httpx.AsyncClient, *, headers: dict[str, str] | None = None, **fields: object
) -> list[Event]:
    """Return the events of a stream; each is one of those the official client knows."""
    body = {"model": "m", "input": "hi", "stream": True} | fields
    found: list[Event] = []
    parser = Parser()
    async with client.stream("POST", "/v1/responses", json=body, headers=headers) as response:
        assert response.status_code == 200, await response.aread()
        assert response.headers["content-type"].startswith("text/event-stream")
        async for part in response.aiter_bytes():
            found += [read(name, data) for name, data in parser.feed(part)]
    return found


def read(name: str | None, data: bytes) -> Event:
    """Return an event; its name, its type and the official client must agree on what it is."""
    event: Event = json.loads(data)
    assert event["type"] == name
    assert STREAM_EVENT.validate_python(event).type == name
    return event


def put_together(stream: list[Event]) -> list[Event]:
    """Return the output items that the deltas of a stream add up to; every event must be where it belongs."""
    assert [event["sequence_number"] for event in stream] == list(
        range(stream[0]["sequence_number"], stream[0]["sequence_number"] + len(stream))
    )
    items: list[Event] = []
    done: list[Event] = []
    for event in stream:
        if "output_index" in event:
            _take(event, items, done)
    assert len(done) == len(items)
    for item, whole in zip(items, done, strict=True):
        assert item["id"] == whole["id"]
        assert item.get("_text", _said(whole)) == _said(whole)
    return done


def _take(event: Event, items: list[Event], done: list[Event]) -> None:
    match event["type"].removeprefix("response."):
        case "output_item.added":
            assert event["output_index"] == len(items) == len(done)
            items.append(dict(event["item"]))
        case "output_item.done":
            assert event["output_index"] == len(done)
            done.append(event["item"])
        case "content_part.added":
            assert event["part"]["text"] == items[event["output_index"]].setdefault("_text", "")
        case "content_part.done":
            assert event["part"]["text"] == items[event["output_index"]]["_text"]
        case kind if kind.endswith(".delta"):
            item = items[event["output_index"]]
            item["_text"] = item.get("_text", "") + event["delta"]
            assert item["id"] == event["item_id"]
        case kind if kind.endswith(".done"):
            whole = event.get("text", event.get("arguments", event.get("input")))
            assert whole == items[event["output_index"]]["_text"]
        case kind:
            raise AssertionError(f"no such event: {kind}")


def _said(item: Event) -> str:
    if "content" in item:
        return "".join(part["text"] for part in item["content"])
    return str(item.get("arguments", item.get("input", "")))


def nameless(items: list[Event]) -> list[Event]:
    """Return items without what differs from one answer to the next."""
    return [
        {key: value for key, value in item.items() if key not in ("id", "call_id")}
        for item in items
    ]
