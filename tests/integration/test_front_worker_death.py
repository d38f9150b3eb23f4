"""A worker that ends or hangs under a request never leaves its client with what looks like a whole answer."""

import asyncio
import json

import httpx
import pytest
from support.deadline import eventually
from support.front import Front, running_front
from support.upstream_app import DONE, frame

from mlxd.protocol import sse
from mlxd.protocol.errors import WorkerDied

DIED = WorkerDied("the worker of org/tiny was ended by SIGKILL")
CRASHED = WorkerDied(DIED.message, may_retry=True)


def kill(front: Front, error: WorkerDied = DIED) -> None:
    """Break the connections, then report the end as the reap does."""
    front.worker.die()
    front.pool.fail_leases(error)


@pytest.mark.parametrize("interval", [0.01, 60.0])
@pytest.mark.parametrize("stream", [True, False])
async def test_before_the_first_byte_another_worker_answers(stream: bool, interval: float) -> None:
    """Given a stream that may have been kept alive by comments, when its worker dies, its client sees an answer."""
    async with running_front(keepalive_interval=interval) as front:
        front.worker.before_head = asyncio.Event()
        asking = asyncio.create_task(
            front.client.post("/v1/chat/completions", json=front.chat(stream=stream))
        )
        await front.worker.arrived.wait()
        front.worker.die()
        front.worker.before_head.set()
        front.pool.fail_leases(CRASHED)
        response = await asking
    assert response.status_code == 200
    # A comment may follow the end as well, wherever the stream was silent for so long.
    assert response.content.replace(sse.COMMENT, b"") == frame("hello") + DONE
    first, second = front.worker.seen
    assert first.body == second.body


async def test_a_stream_of_which_only_the_head_is_out_is_answered_by_another_worker() -> None:
    async with running_front() as front:
        gate = asyncio.Event()
        front.worker.steps = [gate, frame("hello"), DONE]
        async with front.client.stream(
            "POST", "/v1/chat/completions", json=front.chat()
        ) as response:
            front.worker.die()
            gate.set()
            front.pool.fail_leases(CRASHED)
            content = await response.aread()
    assert content == frame("hello") + DONE


async def test_a_second_death_is_the_answer() -> None:
    async with running_front() as front:
        front.worker.before_head = asyncio.Event()
        asking = asyncio.create_task(front.client.post("/v1/chat/completions", json=front.chat()))
        for number in (1, 2):
            await eventually(lambda number=number: len(front.worker.seen) == number)  # type: ignore[misc]
            kill(front, CRASHED)
        response = await asking
    assert (response.status_code, len(front.worker.seen)) == (503, 2)
    assert response.json()["error"]["code"] == "worker_died"


async def test_after_the_first_byte_no_other_worker_is_asked() -> None:
    async with running_front() as front:
        front.worker.steps = [frame("one"), asyncio.Event()]
        with pytest.raises(httpx.RemoteProtocolError):
            async with front.client.stream(
                "POST", "/v1/chat/completions", json=front.chat()
            ) as response:
                async for chunk in response.aiter_raw():
                    if chunk == frame("one"):
                        kill(front, CRASHED)
        assert len(front.worker.seen) == 1


async def test_for_a_client_that_left_no_other_worker_is_asked() -> None:
    async with running_front() as front:
        front.worker.before_head = asyncio.Event()
        asking = asyncio.create_task(front.client.post("/v1/chat/completions", json=front.chat()))
        await front.worker.arrived.wait()
        asking.cancel()
        await asyncio.wait((asking,))
        await eventually(lambda: not front.pool.leases)
        front.worker.die()
        assert len(front.worker.seen) == 1 and front.pool.asked == [("org/tiny", None)]


@pytest.mark.parametrize("stream", [True, False])
async def test_an_end_that_was_wanted_is_a_503_before_the_first_byte(stream: bool) -> None:
    async with running_front() as front:
        front.worker.before_head = asyncio.Event()
        asking = asyncio.create_task(
            front.client.post("/v1/chat/completions", json=front.chat(stream=stream))
        )
        await front.worker.arrived.wait()
        kill(front)
        response = await asking
    assert response.status_code == 503
    error = response.json()["error"]
    assert (error["code"], error["message"]) == ("worker_died", DIED.message)


@pytest.mark.parametrize("cut", [False, True])
async def test_in_a_stream_it_is_an_error_event_and_no_good_end(cut: bool) -> None:
    async with running_front() as front:
        half = [b'data: {"te'] if cut else []
        front.worker.steps = [frame("one"), *half, asyncio.Event()]
        content = frame("one") + b"".join(half)
        received = b""
        with pytest.raises(httpx.RemoteProtocolError):
            async with front.client.stream(
                "POST", "/v1/chat/completions", json=front.chat()
            ) as response:
                async for chunk in response.aiter_raw():
                    received += chunk
                    if received == content:
                        kill(front)
    *_, (_, event) = sse.Parser().feed(received)
    assert json.loads(event)["error"]["code"] == "worker_died"
    assert b"[DONE]" not in received


async def test_in_a_json_body_the_connection_is_cut() -> None:
    async with running_front() as front:
        front.worker.headers = {"content-type": "application/json", "content-length": "100"}
        front.worker.steps = [b'{"choices":[', asyncio.Event()]
        with pytest.raises(httpx.RemoteProtocolError):
            async with front.client.stream(
                "POST", "/v1/chat/completions", json=front.chat(stream=False)
            ) as response:
                async for chunk in response.aiter_raw():
                    assert chunk == b'{"choices":['
                    kill(front)


async def test_a_worker_that_hangs_is_left_when_the_pool_gives_it_up() -> None:
    async with running_front() as front:
        front.worker.steps = [frame("one"), asyncio.Event()]
        received = b""
        with pytest.raises(httpx.RemoteProtocolError):
            async with front.client.stream(
                "POST", "/v1/chat/completions", json=front.chat()
            ) as response:
                async for chunk in response.aiter_raw():
                    received += chunk
                    if received == frame("one"):
                        front.pool.fail_leases(WorkerDied("no step for 120 s"))
        assert b"no step for 120 s" in received
        await asyncio.wait_for(front.worker.abandoned.wait(), 60)


async def test_an_answer_that_was_complete_when_its_worker_ended_is_delivered() -> None:
    async with running_front() as front:
        gate = asyncio.Event()
        front.worker.before_head = gate
        asking = asyncio.create_task(front.client.post("/v1/completions", json=front.chat()))
        await front.worker.arrived.wait()
        front.pool.fail_leases(DIED)
        gate.set()
        response = await asking
    assert response.status_code == 200
    assert response.content.endswith(b"[DONE]\n\n")


async def test_a_socket_that_is_gone_is_a_503_too() -> None:
    async with running_front() as front:
        front.pool.socket += ".gone"
        asking = asyncio.create_task(front.client.post("/v1/completions", json=front.chat()))
        await eventually(lambda: front.pool.leases)
        front.pool.fail_leases(DIED)
        response = await asking
    assert response.status_code == 503
    assert response.json()["error"]["code"] == "worker_died"
