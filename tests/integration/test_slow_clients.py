"""Whoever does not send, or does not read, costs the daemon neither a connection for ever nor memory."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
import uvicorn
from starlette.responses import PlainTextResponse
from support.deadline import eventually
from support.front import running_front
from support.upstream_app import frame
from uvicorn.server import ServerState

from mlxd.supervisor.front import answer, slow_clients

WITHIN = 60.0
PATIENCE = 0.3
HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100000\r\n\r\n"


@asynccontextmanager
async def listening() -> AsyncIterator[int]:
    """Serve a small app on connections with little patience."""
    config = uvicorn.Config(
        PlainTextResponse("well"), ws="none", lifespan="off", log_config=None,
        timeout_keep_alive=3600,
    )  # fmt: skip
    config.load()
    state = ServerState()
    kind = slow_clients.protocol(PATIENCE)
    server = await asyncio.get_running_loop().create_server(
        lambda: kind(config=config, server_state=state, app_state={}), "127.0.0.1", 0
    )
    async with server:
        yield server.sockets[0].getsockname()[1]


async def opened(port: int, first: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect with something said before the server, in this very loop, can lose its patience."""
    client = socket.create_connection(("127.0.0.1", port))
    client.sendall(first)
    client.setblocking(False)
    return await asyncio.open_connection(sock=client)


async def test_headers_that_never_end_are_cut_off_however_steadily_they_come() -> None:
    async with listening() as port:
        reader, writer = await opened(port, b"GET / HTTP/1.1\r\nhost: localhost\r\n")
        ending = asyncio.create_task(reader.read())
        while not ending.done():
            writer.write(b"x-more: 1\r\n")
            await asyncio.wait((ending,), timeout=PATIENCE / 10)
        with suppress(ConnectionResetError):  # one more header may have crossed the end
            assert (await ending).startswith(b"HTTP/1.1 408 ")
        writer.close()


async def test_a_connection_that_says_nothing_is_closed() -> None:
    async with listening() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        assert await asyncio.wait_for(reader.read(), WITHIN) == b""
        writer.close()


async def test_headers_that_never_end_are_cut_off_on_a_used_connection_too() -> None:
    async with listening() as port:
        reader, writer = await opened(port, b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n")
        assert (await asyncio.wait_for(reader.readuntil(b"well"), WITHIN)).startswith(
            b"HTTP/1.1 200"
        )
        writer.write(b"GET / HT")
        assert (await asyncio.wait_for(reader.read(), WITHIN)).startswith(b"HTTP/1.1 408 ")
        writer.close()


async def test_headers_beyond_64_kilobytes_are_refused() -> None:
    async with listening() as port:
        endless = b"GET / HTTP/1.1\r\nhost: localhost\r\nx: " + b"y" * 70_000
        reader, writer = await opened(port, endless)
        assert (await asyncio.wait_for(reader.readline(), WITHIN)).startswith(b"HTTP/1.1 400")
        writer.close()


async def test_a_body_that_stops_coming_is_refused_in_the_callers_dialect() -> None:
    async with running_front(client_timeout=PATIENCE) as front:
        for path, shape in (
            ("/v1/chat/completions", b'"param"'),
            ("/v1/messages", b'"type":"error"'),
        ):
            reader, writer = await asyncio.open_connection("127.0.0.1", front.server.port)
            writer.write(HEAD.replace(b"/v1/chat/completions", path.encode()) + b'{"model":')
            head = await asyncio.wait_for(reader.readuntil(b"request_timeout"), WITHIN)
            assert head.startswith(b"HTTP/1.1 408") and shape in head
            writer.close()
        assert front.pool.asked == []


async def test_a_body_that_drips_is_refused_too() -> None:
    async with running_front(client_timeout=PATIENCE) as front:
        reader, writer = await asyncio.open_connection("127.0.0.1", front.server.port)
        writer.write(HEAD)
        answer = asyncio.create_task(reader.readuntil(b"request_timeout"))
        while not answer.done():
            writer.write(b" ")
            await asyncio.wait((answer,), timeout=PATIENCE / 10)
        assert (await answer).startswith(b"HTTP/1.1 408")
        writer.close()


async def test_a_client_that_takes_nothing_gives_its_worker_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Regression: one that was suspended in the middle of an answer kept its model's slot for good."""
    monkeypatch.setattr(answer, "_UNREAD_S", PATIENCE)
    async with running_front() as front:
        front.worker.steps = [frame("x" * 100_000)] * 400
        reader, writer = await asyncio.open_connection("127.0.0.1", front.server.port, limit=1024)
        body = b'{"model": "org/tiny", "messages": [], "stream": true}'
        writer.write(HEAD.replace(b"100000", str(len(body)).encode()) + body)
        await asyncio.wait_for(front.worker.abandoned.wait(), WITHIN)
        await eventually(lambda: not front.pool.leases, within=WITHIN)
        assert not writer.is_closing()
        writer.close()


async def test_of_a_stream_that_nobody_reads_only_a_bounded_part_is_taken_from_the_worker() -> None:
    async with running_front() as front:
        size, count = 100_000, 400
        front.worker.steps = [frame("x" * size)] * count
        reader, writer = await asyncio.open_connection("127.0.0.1", front.server.port, limit=1024)
        body = b'{"model": "org/tiny", "messages": [], "stream": true}'
        writer.write(HEAD.replace(b"100000", str(len(body)).encode()) + body)
        await eventually(lambda: front.server.is_held_back, within=WITHIN)
        held = front.worker.sent_bytes
        assert held < size * count * 0.75, "buffers of the system, and not much more"
        writer.close()
        await asyncio.wait_for(front.worker.abandoned.wait(), WITHIN)
        assert front.worker.sent_bytes < size * count
