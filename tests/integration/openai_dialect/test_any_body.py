"""Whatever a body holds, it is answered in OpenAI's shape, below 500, and no row stays behind."""

import asyncio
import json
from collections.abc import Iterator

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.bodies import CHAT, COMPLETIONS, damaged
from support.deadline import until
from support.scripted_engine import ScriptedEngine
from support.tokenizers import CHATML, byte_tokenizer

from mlxd.workers.api.app import build

LOOSE = settings(max_examples=300, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def script() -> Iterator[ScriptedEngine]:
    tokenizer = byte_tokenizer(CHATML)
    text = 'ok <think>é</think> <tool_call>{"name": "f"}</tool_call>'
    tokens = tokenizer.encode(text, add_special_tokens=False)
    engine = ScriptedEngine(tokenizer, lambda request: tokens, rows=256)
    yield engine
    engine.stop()


async def ask(script: ScriptedEngine, path: str, body: bytes) -> httpx.Response:
    app = build(script.model, script.engine)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://worker") as client:
        response = await asyncio.wait_for(client.post(path, content=body), 60)
    app.state.pipeline.close()
    return response


def check(script: ScriptedEngine, path: str, body: bytes) -> None:
    response = asyncio.run(ask(script, path, body))
    until(lambda: script.live == 0, within=60, what="all rows to leave")
    if response.status_code == 200:
        if not response.headers["content-type"].startswith("text/event-stream"):
            assert response.json()["model"] == "the-model"
        else:
            assert response.text.endswith("data: [DONE]\n\n")
        return
    assert response.status_code in (400, 429), response.text
    error = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["message"]
    assert "Traceback" not in response.text
    if error["param"] is not None:
        assert error["message"].startswith(error["param"]) or "tokens" in error["message"]


@LOOSE
@given(body=CHAT | damaged(CHAT))
def test_any_chat_body_is_answered(script: ScriptedEngine, body: bytes) -> None:
    check(script, "/v1/chat/completions", body)


@LOOSE
@given(body=COMPLETIONS | damaged(COMPLETIONS) | st.binary(max_size=20))
def test_any_completions_body_is_answered(script: ScriptedEngine, body: bytes) -> None:
    check(script, "/v1/completions", body)


def test_a_whole_body_is_answered_whole(script: ScriptedEngine) -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
    response = asyncio.run(ask(script, "/v1/chat/completions", json.dumps(body).encode()))
    assert response.status_code == 200
