"""Whatever a body holds, it is answered through the front in OpenAI's shape, below 500, and no row stays behind."""

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.bodies import ANYTHING, damaged
from support.deadline import until
from support.front import ALIAS, MODEL
from support.openai_responses_bodies import bodies
from support.openai_responses_calls import put_together
from support.responses_house import House, house

from mlxd.protocol.sse import Parser

LOOSE = settings(max_examples=400, suppress_health_check=list(HealthCheck))
BODIES = bodies(ALIAS)


@dataclass
class Room:
    """Reach a house that lives in a loop of its own."""

    home: House
    loop: asyncio.AbstractEventLoop

    def post(self, path: str, body: bytes) -> httpx.Response:
        """Return the answer to a body."""
        asked = self.home.client.post(path, content=body)
        return asyncio.run_coroutine_threadsafe(asked, self.loop).result(30)


@pytest.fixture(scope="module")
def room() -> Iterator[Room]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    stack = AsyncExitStack()

    def run(work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, loop).result(30)

    home = run(stack.enter_async_context(house()))
    home.script.says('ok <think>é</think> <tool_call>{"name": "f"}</tool_call>')
    yield Room(home, loop)
    run(stack.aclose())
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@LOOSE
@given(body=BODIES | damaged(BODIES))
def test_any_body_is_answered(room: Room, body: bytes) -> None:
    response = room.post("/v1/responses", body)
    until(lambda: room.home.script.live == 0, within=60, what="all rows to leave")
    if response.status_code != 200:
        refused(response)
    elif response.headers["content-type"].startswith("text/event-stream"):
        # Not read by the official client, which would check the tools that are shown as they came.
        events = [json.loads(data) for _, data in Parser().feed(response.content)]
        put_together(events)
        assert events[-1]["type"] in (
            "response.completed", "response.incomplete", "response.failed",
        )  # fmt: skip
    else:
        assert response.json()["model"] == MODEL


def refused(response: httpx.Response) -> None:
    assert response.status_code in (400, 404, 429), response.text
    error = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["message"]
    assert "Traceback" not in response.text
    if response.status_code == 400 and error["param"] is not None:
        assert error["message"].startswith(error["param"]) or "tokens" in error["message"]


@LOOSE
@given(items=st.lists(ANYTHING, max_size=3) | ANYTHING, metadata=ANYTHING)
def test_any_conversation_is_begun_or_refused(room: Room, items: Any, metadata: Any) -> None:
    body = json.dumps({"items": items, "metadata": metadata}).encode()
    response = room.post("/v1/conversations", body)
    if response.status_code == 200:
        path = f"/v1/conversations/{response.json()['id']}/items"
        listed = asyncio.run_coroutine_threadsafe(room.home.client.get(path), room.loop).result(30)
        assert len(listed.json()["data"]) == len(items or [])
    else:
        refused(response)
