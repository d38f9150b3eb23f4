"""Ask a worker's app the way OpenAI's clients do."""

import json
from typing import Any

import httpx

from mlxd.protocol.sse import Parser

USER = {"role": "user", "content": "hi"}
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
CALL = '<tool_call>\n{"name": "f", "arguments": {"x": 1}}\n</tool_call>'
WITHIN = 60.0


async def chat(client: httpx.AsyncClient, **fields: object) -> Any:
    """Return a whole answer."""
    body = {"model": "any", "messages": [USER]} | fields
    response = await client.post("/v1/chat/completions", json=body)
    assert response.status_code == 200, response.text
    return response.json()


async def chunks(client: httpx.AsyncClient, path: str = "chat/completions", **fields: Any) -> Any:
    """Return the events of a stream, the end marker as a string."""
    body = {"model": "any", "stream": True} | fields
    if path.startswith("chat"):
        body = {"messages": [USER]} | body
    parser = Parser()
    found: list[Any] = []
    async with client.stream("POST", f"/v1/{path}", json=body) as response:
        assert response.status_code == 200, await response.aread()
        assert response.headers["content-type"].startswith("text/event-stream")
        async for part in response.aiter_bytes():
            for _, data in parser.feed(part):
                found.append("[DONE]" if data == b"[DONE]" else json.loads(data))
    return found
