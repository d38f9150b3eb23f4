"""What cannot be answered is refused in Ollama's shape, naming the field."""

from typing import Any

import httpx
import pytest
from support.ollama_calls import TOOL, USER, body
from support.scripted_engine import ScriptedEngine

BOTH = ("/api/chat", "/api/generate")
CASES: list[tuple[str, dict[str, Any], str, str]] = [
    *(
        (path, fields, field, code)
        for path in BOTH
        for fields, field, code in (
            ({"options": {"mirostat": 1}}, "options.mirostat", "unsupported_field"),
            ({"options": {"tfs_z": 0.5}}, "options.tfs_z", "unsupported_field"),
            ({"options": {"typical_p": 0.5}}, "options.typical_p", "unsupported_field"),
            ({"options": {"temprature": 1}}, "options.temprature", "invalid_request"),
            ({"options": {"temperature": -1}}, "options.temperature", "invalid_request"),
            ({"options": {"top_p": 2}}, "options.top_p", "invalid_request"),
            ({"options": {"seed": "x"}}, "options.seed", "invalid_request"),
            ({"options": {"stop": ["x"] * 65}}, "options.stop", "invalid_request"),
            ({"options": []}, "options", "invalid_request"),
            ({"format": "yaml"}, "format", "invalid_request"),
            ({"format": 7}, "format", "invalid_request"),
            ({"format": {"type": "string", "pattern": "("}}, "format", "invalid_request"),
            ({"think": "very"}, "think", "invalid_request"),
            ({"think": 1}, "think", "invalid_request"),
            ({"logprobs": True, "top_logprobs": 21}, "top_logprobs", "invalid_request"),
        )
    ),
    ("/api/generate", {"suffix": "x"}, "suffix", "unsupported_field"),
    ("/api/generate", {"template": "x"}, "template", "unsupported_field"),
    ("/api/generate", {"context": [1]}, "context", "unsupported_field"),
    ("/api/generate", {"images": ["aGk="]}, "images", "unsupported_field"),
    ("/api/generate", {"raw": True, "system": "x"}, "system", "invalid_request"),
    ("/api/chat", {"messages": [{"content": "x"}]}, "messages[0].role", "invalid_request"),
    ("/api/chat", {"messages": [USER | {"images": ["aGk="]}]}, "messages[0].images", "unsupported_field"),
    ("/api/chat", {"messages": [USER | {"role": "robot"}]}, "messages[0].role", "invalid_request"),
    ("/api/chat", {"messages": [USER | {"tool_calls": [{"function": {"name": "f"}}]}]},
     "messages[0].tool_calls", "invalid_request"),
    ("/api/chat", {"tools": [{"type": "web", "function": TOOL["function"]}]}, "tools[0].type", "unsupported_field"),
    ("/api/chat", {"tools": [{}]}, "tools[0].function", "invalid_request"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "fields", "field", "code"), CASES)
async def test_a_field_at_fault_is_named(
    client: httpx.AsyncClient,
    script: ScriptedEngine,
    path: str,
    fields: dict[str, Any],
    field: str,
    code: str,
) -> None:
    response = await client.post(path, json=body(path, **fields))
    assert response.status_code == 400
    told = response.json()
    assert told.keys() == {"error", "code"}
    assert told["error"].startswith(field), told
    assert told["code"] == code
    assert not script.seen


@pytest.mark.parametrize("path", BOTH)
@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff", b'{"model": 1}', b"{}"])
async def test_what_is_no_body_is_refused(
    client: httpx.AsyncClient, path: str, content: bytes
) -> None:
    response = await client.post(path, content=content)
    assert response.status_code == 400
    assert response.json()["code"] == "invalid_request"


async def test_a_prompt_that_is_too_long_is_refused_and_not_cut(client: httpx.AsyncClient) -> None:
    response = await client.post("/api/generate", json=body("/api/generate", prompt="x" * 5000))
    assert response.status_code == 400
    assert response.json()["code"] == "context_length_exceeded"
