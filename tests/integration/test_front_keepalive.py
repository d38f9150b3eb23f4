"""A stream that waits sends bytes at least every interval, and a late refusal never looks like a good end (G3, G5)."""

import asyncio
import json
import time

import httpx
import pytest
from support.deadline import eventually
from support.front import MODEL, Front, running_front
from support.upstream_app import DONE, frame

from mlxd.protocol import sse
from mlxd.protocol.errors import MlxdError, ModelLoadFailed, QueueFull

INTERVAL = 0.05


def events(content: bytes) -> list[bytes]:
    """Return the data of the events, comments left out."""
    return [data for _, data in sse.Parser().feed(content)]


async def read_all(
    front: Front, body: object, path: str = "/v1/chat/completions"
) -> tuple[httpx.Response, bytes, bool]:
    """Return the response, all its bytes, and whether it ended as HTTP says a response ends.

    The gate opens with the first bytes: whoever opened it after a time might do so before the request was there.
    """
    content = b""
    async with front.client.stream("POST", path, json=body) as response:
        try:
            async for chunk in response.aiter_raw():
                content += chunk
                front.pool.gate.set()
        except httpx.RemoteProtocolError:
            return response, content, False
    return response, content, True


async def test_a_stream_in_the_queue_gets_comments_then_its_answer() -> None:
    async with running_front(gate=False, keepalive_interval=INTERVAL) as front:
        began = time.monotonic()
        async with front.client.stream(
            "POST", "/v1/chat/completions", json=front.chat()
        ) as response:
            assert response.status_code == 200
            assert response.headers["content-type"].startswith("text/event-stream")
            chunks = response.aiter_raw()
            for _ in range(3):
                assert await anext(chunks) == sse.COMMENT
            assert time.monotonic() - began >= 2 * INTERVAL
            front.pool.gate.set()
            rest = b"".join([chunk async for chunk in chunks])
    assert rest.replace(sse.COMMENT, b"") == frame("hello") + DONE


async def test_a_stream_in_the_queue_hears_what_it_waits_for() -> None:
    async with running_front(gate=False, keepalive_interval=INTERVAL) as front:
        front.pool.notes[MODEL] = "loading 40%\n\neta 12s"
        body = front.chat()
        async with front.client.stream("POST", "/v1/chat/completions", json=body) as response:
            assert await anext(response.aiter_raw()) == b": loading 40% eta 12s\n\n"


@pytest.mark.parametrize("stream", [True, False])
async def test_an_answer_says_in_a_header_what_it_waited_for(stream: bool) -> None:
    async with running_front(gate=False) as front:
        front.pool.notes[MODEL] = "loading 40%\n\neta 12s"
        sent = front.client.post("/v1/chat/completions", json=front.chat(stream=stream))
        asking = asyncio.create_task(sent)
        await eventually(lambda: front.pool.waiting)
        await asyncio.wait((asking,), timeout=0.5)
        front.pool.gate.set()
        response = await asking
    assert response.headers["x-mlxd-waiting"] == "loading 40% eta 12s"
    assert int(response.headers["x-mlxd-queued-ms"]) > 0


async def test_an_answer_says_how_long_it_waited_for_its_worker() -> None:
    async with running_front() as front:
        response = await front.client.post("/v1/chat/completions", json=front.chat(stream=False))
    assert 0 <= int(response.headers["x-mlxd-queued-ms"]) < 30_000


async def test_a_stream_whose_worker_is_silent_gets_comments_between_frames_only() -> None:
    async with running_front(keepalive_interval=INTERVAL) as front:
        silence, middle = asyncio.Event(), asyncio.Event()
        half, other_half = frame("two")[:9], frame("two")[9:]
        front.worker.steps = [frame("one"), silence, half, middle, other_half, DONE]
        async with front.client.stream(
            "POST", "/v1/chat/completions", json=front.chat()
        ) as response:
            chunks = response.aiter_raw()
            while (said := await anext(chunks)) == sse.COMMENT:
                pass  # the worker took its time
            assert said == frame("one")
            assert await anext(chunks) == sse.COMMENT
            silence.set()
            while await anext(chunks) != half:
                pass
            # In the middle of a frame, and silent for many intervals.
            asyncio.get_running_loop().call_later(INTERVAL * 5, middle.set)
            assert await anext(chunks) == other_half
            assert b"".join([chunk async for chunk in chunks]).endswith(DONE)


async def test_a_fast_stream_gets_no_comment() -> None:
    async with running_front(keepalive_interval=5.0) as front:
        _, content, ended = await read_all(front, front.chat())
    assert (content, ended) == (frame("hello") + DONE, True)


async def test_a_request_without_stream_waits_in_silence_and_gets_its_status() -> None:
    async with running_front(gate=False, keepalive_interval=0.01) as front:
        front.pool.refusal = QueueFull("7 requests already wait", retry_after=4.2)
        asking = asyncio.create_task(
            front.client.post("/v1/chat/completions", json=front.chat(stream=False))
        )
        await eventually(lambda: front.pool.waiting == 1)
        asyncio.get_running_loop().call_later(0.1, front.pool.gate.set)
        response = await asking
    assert response.status_code == 429
    assert response.headers["retry-after"] == "5"
    assert response.json()["error"]["code"] == "queue_full"


@pytest.mark.parametrize("refusal", [QueueFull("full"), ModelLoadFailed("no weights")])
async def test_a_refusal_after_keep_alive_bytes_is_an_error_event_and_no_good_end(
    refusal: MlxdError,
) -> None:
    async with running_front(gate=False, keepalive_interval=INTERVAL) as front:
        front.pool.refusal = refusal
        response, content, ended = await read_all(front, front.chat())
    assert response.status_code == 200
    assert not ended
    (event,) = events(content)
    assert json.loads(event)["error"]["code"] == refusal.code
    assert b"[DONE]" not in content


async def test_a_workers_refusal_after_keep_alive_bytes_is_an_error_event() -> None:
    async with running_front(gate=False, keepalive_interval=INTERVAL) as front:
        front.worker.status = 400
        front.worker.headers = {"content-type": "application/json"}
        detail = {"message": "too long", "type": "x", "param": "messages"}
        front.worker.steps = [
            json.dumps({"error": detail | {"code": "context_length_exceeded"}}).encode()
        ]
        _, content, ended = await read_all(front, front.chat())
    assert not ended
    (event,) = events(content)
    assert json.loads(event)["error"] == {
        "message": "too long",
        "type": "invalid_request_error",
        "param": "messages",
        "code": "context_length_exceeded",
    }


async def test_what_goes_wrong_inside_after_keep_alive_bytes_is_an_error_event_too() -> None:
    async with running_front(gate=False, keepalive_interval=INTERVAL) as front:
        front.pool.refusal = RuntimeError("a bug")
        _, content, ended = await read_all(front, front.chat())
    assert not ended
    (event,) = events(content)
    assert json.loads(event)["error"]["code"] == "internal_error"
    assert b"a bug" not in content
