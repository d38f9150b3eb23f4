"""A client that leaves stops everything that was done for it, at whatever point it leaves (promises G1, G2)."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from support.deadline import eventually
from support.front import MODEL, Front, running_front
from support.upstream_app import frame

STREAM_OR_NOT = pytest.mark.parametrize("stream", [True, False])


@asynccontextmanager
async def asking(front: Front, path: str, body: object) -> AsyncIterator[asyncio.StreamReader]:
    """Send a request, and close the connection at the end of the block."""
    content = json.dumps(body).encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", front.server.port)
    writer.write(
        f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {len(content)}\r\n\r\n".encode()
    )
    writer.write(content)
    try:
        yield reader
    finally:
        writer.close()
        await writer.wait_closed()


async def all_is_over(front: Front) -> None:
    """Wait until the front does nothing any more."""
    await eventually(lambda: front.server.requests == 0, what="the request ends")
    assert (front.pool.waiting, front.pool.leases) == (0, [])


@STREAM_OR_NOT
async def test_leaving_the_queue_gives_up_the_place(stream: bool) -> None:
    async with running_front(gate=False) as front:
        async with asking(front, "/v1/chat/completions", front.chat(stream=stream)):
            await eventually(lambda: front.pool.waiting == 1)
        await all_is_over(front)
        assert front.worker.seen == []


@STREAM_OR_NOT
async def test_leaving_before_the_first_byte_closes_the_connection_to_the_worker(
    stream: bool,
) -> None:
    async with running_front() as front:
        front.worker.before_head = asyncio.Event()
        async with asking(front, "/v1/chat/completions", front.chat(stream=stream)):
            await front.worker.arrived.wait()
        await asyncio.wait_for(front.worker.abandoned.wait(), 60)
        await all_is_over(front)


async def test_leaving_in_the_middle_of_a_stream_closes_the_connection_to_the_worker() -> None:
    async with running_front() as front:
        front.worker.steps = [frame("one"), asyncio.Event()]
        async with asking(front, "/v1/chat/completions", front.chat()) as reader:
            await reader.readuntil(frame("one"))
        await asyncio.wait_for(front.worker.abandoned.wait(), 60)
        await all_is_over(front)


async def test_leaving_without_having_read_closes_the_connection_to_the_worker() -> None:
    async with running_front() as front:
        front.worker.steps = [frame("x" * 65536)] * 500
        async with asking(front, "/v1/chat/completions", front.chat()) as reader:
            await reader.readuntil(b"\r\n\r\n")
        await asyncio.wait_for(front.worker.abandoned.wait(), 60)
        await all_is_over(front)


async def test_leaving_while_keep_alive_bytes_flow_gives_up_the_place() -> None:
    async with running_front(gate=False, keepalive_interval=0.03) as front:
        async with asking(front, "/v1/chat/completions", front.chat()) as reader:
            await reader.readuntil(b": keep-alive\n\n")
        await all_is_over(front)


async def test_leaving_in_the_middle_of_the_body_asks_for_nothing() -> None:
    async with running_front() as front:
        _, writer = await asyncio.open_connection("127.0.0.1", front.server.port)
        writer.write(
            b"POST /v1/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: 99\r\n\r\n{"
        )
        await eventually(lambda: front.server.requests == 1)
        writer.close()
        await writer.wait_closed()
        await all_is_over(front)
        assert front.pool.asked == []


async def test_leaving_a_load_stops_waiting_for_it() -> None:
    async with running_front(gate=False) as front:
        async with asking(front, "/v1/models/load", {"model": MODEL}):
            await eventually(lambda: front.pool.waiting == 1)
        await all_is_over(front)


async def test_a_storm_of_leaving_clients_leaves_nothing_behind() -> None:
    async with running_front() as front:
        front.worker.steps = [frame("one"), asyncio.Event()]

        async def come_and_go(number: int) -> None:
            async with asking(front, "/v1/chat/completions", front.chat()) as reader:
                if number % 2:
                    await reader.readuntil(frame("one"))

        await asyncio.gather(*(come_and_go(number) for number in range(100)))
        await all_is_over(front)
