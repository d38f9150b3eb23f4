"""Whatever a body holds, it is answered in Anthropic's shape, below 500, and no row stays behind."""

import asyncio
from collections.abc import Iterator

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from support.anthropic_bodies import MESSAGES
from support.bodies import damaged
from support.deadline import until
from support.scripted_engine import ScriptedEngine
from support.tokenizers import CHATML, byte_tokenizer

from mlxd.workers.api.app import build

LOOSE = settings(max_examples=400, suppress_health_check=list(HealthCheck))
TEXT = 'ok <think>é</think> <tool_call>{"name": "f"}</tool_call>'


@pytest.fixture(scope="module")
def script() -> Iterator[ScriptedEngine]:
    tokenizer = byte_tokenizer(CHATML)
    tokens = tokenizer.encode(TEXT, add_special_tokens=False)
    engine = ScriptedEngine(tokenizer, lambda request: tokens, rows=256)
    yield engine
    engine.stop()


async def ask(script: ScriptedEngine, body: bytes) -> tuple[httpx.Response, httpx.Response]:
    """Return the answer to the body, and its count of tokens."""
    app = build(script.model, script.engine)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://worker") as client:
        async with asyncio.timeout(60):
            answer = await client.post("/v1/messages", content=body)
            count = await client.post("/v1/messages/count_tokens", content=body)
    app.state.pipeline.close()
    return answer, count


@LOOSE
@given(body=MESSAGES | damaged(MESSAGES))
def test_any_body_is_answered_and_counted(script: ScriptedEngine, body: bytes) -> None:
    answer, count = asyncio.run(ask(script, body))
    until(lambda: script.live == 0, within=60, what="all rows to leave")
    if answer.status_code == 200:
        assert set(count.json()) == {"input_tokens"}
    for response in (answer, count):
        check(response)


def check(response: httpx.Response) -> None:
    if response.status_code == 200:
        if response.headers["content-type"].startswith("text/event-stream"):
            assert response.text.endswith('event: message_stop\ndata: {"type":"message_stop"}\n\n')
        return
    assert response.status_code in (400, 429), response.text
    told = response.json()
    assert set(told) == {"type", "error"}
    assert set(told["error"]) == {"type", "message", "code"}
    assert told["error"]["message"] and "Traceback" not in response.text
