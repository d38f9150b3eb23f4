"""A model call passes through the front unchanged, in both directions."""

import asyncio
import json
import socket

import httpx
import pytest
from support.deadline import eventually
from support.front import ALIAS, MODEL, running_front
from support.upstream_app import DONE, frame


async def test_a_body_reaches_the_worker_byte_for_byte() -> None:
    async with running_front() as front:
        body = b'{ "model":"tiny",\n "stream" : true, "x": "\\u00e9\xc3\xa9", "n": 1.50 }'
        await front.client.post("/v1/chat/completions?a=b%20c", content=body)
    (seen,) = front.worker.seen
    assert (seen.path, seen.query, seen.body) == ("/v1/chat/completions", b"a=b%20c", body)


async def test_a_worker_sees_no_key_no_cookie_and_the_request_id() -> None:
    async with running_front(api_key="secret") as front:
        headers = {"x-api-key": "secret", "cookie": "a=b", "x-request-id": "mine"}
        await front.client.post("/v1/completions", json=front.chat(), headers=headers)
    (seen,) = front.worker.seen
    assert {"x-api-key", "authorization", "cookie"}.isdisjoint(seen.headers)
    assert seen.headers["x-request-id"] == "mine"


async def test_a_stream_passes_each_chunk_as_it_comes() -> None:
    async with running_front() as front:
        gate = asyncio.Event()
        front.worker.steps = [frame("one"), gate, frame("two"), DONE]
        request = front.client.stream("POST", "/v1/chat/completions", json=front.chat())
        async with request as response:
            chunks = response.aiter_raw()
            assert await anext(chunks) == frame("one")
            gate.set()
            assert b"".join([chunk async for chunk in chunks]) == frame("two") + DONE


@pytest.mark.parametrize("stream", [True, False])
async def test_a_workers_refusal_passes_with_its_status(stream: bool) -> None:
    async with running_front() as front:
        refusal = (
            b'{"error":{"message":"no","type":"x","param":"messages","code":"invalid_request"}}'
        )
        front.worker.status = 400
        front.worker.headers = {"content-type": "application/json"}
        front.worker.steps = [refusal]
        response = await front.client.post("/v1/chat/completions", json=front.chat(stream=stream))
    assert (response.status_code, response.content) == (400, refusal)


async def test_a_response_keeps_its_headers_but_not_those_of_the_connection() -> None:
    async with running_front() as front:
        body = b'{"a":1}'
        front.worker.headers = {
            "content-type": "application/json",
            "content-length": str(len(body)),
            "x-own": "1",
            "keep-alive": "timeout=5",
            "server": "worker",
        }
        front.worker.steps = [body]
        response = await front.client.post("/v1/completions", json=front.chat(stream=False))
    assert response.json() == {"a": 1}
    assert response.headers["content-length"] == "7"
    assert response.headers["x-own"] == "1"
    assert {"keep-alive", "server", "transfer-encoding"}.isdisjoint(response.headers)
    assert len(response.headers.get_list("date")) == 1


async def test_an_alias_and_the_keep_alive_of_the_body_reach_the_pool() -> None:
    async with running_front() as front:
        for keep_alive in (0, -1, 90, "30m"):
            body = {**front.chat(), "model": ALIAS, "keep_alive": keep_alive}
            await front.client.post("/v1/chat/completions", json=body)
        await front.client.post("/v1/chat/completions", json=front.chat())
    expected = [0.0, float("inf"), 90.0, 1800.0, None]
    assert front.pool.asked == [(MODEL, value) for value in expected]


async def test_a_worker_is_free_again_when_its_response_ends() -> None:
    async with running_front() as front:
        for _ in range(20):
            await front.client.post("/v1/chat/completions", json=front.chat())
            assert front.pool.leases == []


async def test_a_client_that_does_not_read_holds_the_worker_back() -> None:
    chunk, count = frame("x" * 65536), 600
    async with running_front() as front:
        front.worker.steps = [chunk] * count
        body = json.dumps(front.chat()).encode()
        head = f"POST /v1/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: {len(body)}\r\n\r\n"
        client = socket.create_connection(("127.0.0.1", front.server.port))
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        client.sendall(head.encode() + body)
        client.setblocking(False)
        await front.worker.arrived.wait()
        # First the client's socket is full, which stays so, then the worker's.
        await eventually(lambda: front.server.is_held_back)
        upstream = front.worker.running
        assert upstream is not None
        await eventually(lambda: upstream.is_held_back)
        assert front.worker.sent_bytes < len(chunk) * count / 2
        reader, writer = await asyncio.open_connection(sock=client)
        received = 0
        while received < len(chunk) * count:
            received += len(await reader.read(1 << 20))
        writer.close()
        await writer.wait_closed()


async def test_many_streams_at_once_all_arrive_whole() -> None:
    async with running_front() as front:
        front.worker.steps = [frame(str(number)) for number in range(50)] + [DONE]
        expected = b"".join(step for step in front.worker.steps if isinstance(step, bytes))

        async def ask(client: httpx.AsyncClient) -> bytes:
            response = await client.post("/v1/chat/completions", json=front.chat())
            return response.content

        answers = await asyncio.gather(*(ask(front.client) for _ in range(40)))
        assert set(answers) == {expected}
        await eventually(lambda: not front.pool.leases)
