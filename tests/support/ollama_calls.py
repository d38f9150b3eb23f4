"""Ask the way Ollama's clients do, and put a stream together the way they do."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

import httpx

USER = {"role": "user", "content": "hi"}
TOOL = {
    "type": "function",
    "function": {
        "name": "f",
        "description": "Do f",
        "parameters": {"type": "object", "properties": {"x": {"type": "integer"}}},
    },
}
CALL = '<tool_call>\n{"name": "f", "arguments": {"x": 1}}\n</tool_call>'
CALLED = {"index": 0, "name": "f", "arguments": {"x": 1}}
WITHIN = 60.0
TIMES = ("created_at", "total_duration", "load_duration", "prompt_eval_duration", "eval_duration")


def body(path: str, **fields: object) -> dict[str, object]:
    """Return a small body with these fields."""
    asks = {"prompt": "hi"} if path == "/api/generate" else {"messages": [USER]}
    return {"model": "any"} | asks | fields


async def answer(client: httpx.AsyncClient, path: str = "/api/chat", **fields: object) -> Any:
    """Return a whole answer."""
    response = await client.post(path, json=body(path, stream=False, **fields))
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/json"
    return response.json()


async def lines(client: httpx.AsyncClient, path: str = "/api/chat", **fields: object) -> list[Any]:
    """Return the lines of a stream; one is asked for by saying nothing."""
    async with client.stream("POST", path, json=body(path, **fields)) as response:
        assert response.status_code == 200, await response.aread()
        assert response.headers["content-type"] == "application/x-ndjson"
        return [json.loads(line) async for line in response.aiter_lines()]


def put_together(found: Iterable[Any]) -> Any:
    """Return the answer that a stream tells; fails where the stream breaks its own rules."""
    text: list[str] = []
    thinking: list[str] = []
    calls: list[Any] = []
    logprobs: list[Any] = []
    *parts, last = list(found)
    for line in (*parts, last):
        assert line["done"] is (line is last), "the last line is the one that is done"
        adds = line.get("message", line)
        text.append(adds["content"] if "message" in line else adds["response"])
        thinking.append(adds.get("thinking", ""))
        calls += adds.get("tool_calls", [])
        logprobs += line.get("logprobs", [])
    told = {key: value for key, value in last.items() if key not in ("message", "response")}
    told |= {"text": "".join(text), "thinking": "".join(thinking), "calls": calls}
    return without_times(told | {"logprobs": logprobs})


def plain(whole: Any) -> Any:
    """Return a whole answer in the terms of `put_together`."""
    return put_together([whole])


def without_times(told: dict[str, Any]) -> dict[str, Any]:
    """Return an answer without what every answer draws anew."""
    calls = [call["function"] for call in told["calls"]]
    return {key: value for key, value in told.items() if key not in TIMES} | {"calls": calls}


def names(calls: Sequence[Any]) -> list[str]:
    """Return the names of the functions called."""
    return [call["name"] for call in calls]
