"""A worker that is busy accepting connections is waited for."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.pools import settle

from mlxd.supervisor.front import upstream
from mlxd.supervisor.front.answer import RawHeaders
from mlxd.supervisor.front.upstream import Call
from mlxd.supervisor.lifecycle.lease import Lease

ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


class Kept:
    """Keep what a worker answers."""

    started = False

    def __init__(self) -> None:
        self.status = 0
        self.body = b""

    async def begin(self, status: int, headers: RawHeaders) -> None:
        """Take the head."""
        self.status = status

    async def write(self, chunk: bytes) -> None:
        """Take bytes of the body."""
        self.body += chunk


class Lender:
    """Take leases back."""

    def end_lease(self, lease: Lease, *, served: bool) -> None:
        """Take one."""


@contextlib.contextmanager
def full(path: Path) -> Iterator[socket.socket]:
    """Listen at `path` with as many connections waiting as the system allows."""
    with contextlib.ExitStack() as opened:
        listener = opened.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
        listener.bind(str(path))
        listener.listen(1)
        while True:
            waiting = opened.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
            waiting.setblocking(False)
            try:
                waiting.connect(str(path))
            except OSError:  # EAGAIN on Linux, ECONNREFUSED on a Mac
                break
        yield listener


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(ANSWER)
        await writer.drain()
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


@pytest.mark.timeout(60)
async def test_a_worker_that_has_too_many_waiting_gets_the_request_when_it_accepts_again(
    tmp_path: Path,
) -> None:
    served: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.add(asyncio.create_task(serve(reader, writer)))

    with full(tmp_path / "s") as listener:
        lease, kept = Lease(Lender(), "tiny", str(tmp_path / "s"), 1), Kept()
        relay = asyncio.create_task(upstream.relay(lease, Call("/v1/x", [], b"{}"), kept))
        assert not (await asyncio.wait((relay,), timeout=0.6))[0], "it gave up"
        server = await asyncio.start_unix_server(accept, sock=listener)
        await relay
        server.close()
        await settle()
    # What is still open when the loop ends is told of by the collector, in the middle of another test.
    await asyncio.gather(*served)
    assert (kept.status, kept.body) == (200, b"ok")
