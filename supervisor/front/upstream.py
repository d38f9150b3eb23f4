"""Talk HTTP to a worker over its Unix socket.

Each request has a connection of its own: closing it is what tells the worker to drop the row.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from mlxd.protocol.errors import WorkerDied
from mlxd.supervisor.access import tenant
from mlxd.supervisor.front import refusal, request_trace
from mlxd.supervisor.front.answer import RawHeaders
from mlxd.supervisor.front.presence import wind_up
from mlxd.supervisor.front.worker_connection import Broken, Connection
from mlxd.supervisor.ports import Lease

_CONNECT_RETRIES_S = (0.02, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6)
"""Pauses before the next try, for a backlog may be full: a Mac lets 128 wait (kern.ipc.somaxconn), fewer than may be
admitted at once, and says of the next one what it says of a worker that is dead. That one's lease tells."""
_LAST_BYTES_S = 0.5
"""How long a worker that failed may still hand out what it had written before."""
_LOOKS = 5
"""How often that is looked at: a loop that was held up for all that time finds once more what came meanwhile."""
_DYING = WorkerDied.code.encode()
_FETCH_S = 1.0
_REFUSAL_BYTES = 1 << 20

_PER_CONNECTION = frozenset(
    b"connection keep-alive proxy-authenticate proxy-authorization te trailer transfer-encoding upgrade "
    b"date server".split()
)


@dataclass(frozen=True, slots=True)
class Call:
    """Hold a request as the worker gets it: the client's body unchanged, and few of its headers."""

    path: str
    headers: RawHeaders
    body: bytes


class Sink(Protocol):
    """Take a worker's response; `Answer` does, and so does who wants to keep it."""

    @property
    def started(self) -> bool:
        """Say whether a refusal is to be raised: it can no longer become a status."""
        ...

    async def begin(self, status: int, headers: RawHeaders) -> None:
        """Take the head."""
        ...

    async def write(self, chunk: bytes) -> None:
        """Take bytes of the body."""
        ...


async def relay(lease: Lease, call: Call, answer: Sink) -> None:
    """Send the call to the worker and its response to the client, all but its end; bytes pass unparsed.

    Cancelling closes the connection, by which the worker knows that nobody waits. Raises the worker's own refusal
    where the head is out already, and WorkerDied where the worker ends or hangs.
    """
    copying = asyncio.create_task(_copy(lease, call, answer))
    try:
        await asyncio.wait((copying, lease.failed), return_when=asyncio.FIRST_COMPLETED)
        await _soon(copying)
    finally:
        await wind_up(copying)
    if copying.cancelled():
        raise await lease.failure()
    try:
        copying.result()
    except Broken:
        raise await lease.failure() from None


async def fetch(socket: str, path: str) -> Mapping[str, Any] | None:
    """Get a JSON object from a worker; None where it does not answer in time."""
    try:
        async with asyncio.timeout(_FETCH_S), _opened(socket, "GET", path, [], b"") as response:
            body = await _read(response)
        found = msgspec.json.decode(body)
    except (TimeoutError, Broken, msgspec.DecodeError):
        return None
    return found if response.status == 200 and isinstance(found, dict) else None


async def _copy(lease: Lease, call: Call, answer: Sink) -> None:
    headers = [*call.headers, *tenant.headers(), *request_trace.headers()]
    async with _opened(lease.socket, "POST", call.path, headers, call.body) as response:
        kept = [pair for pair in response.headers if pair[0].lower() not in _PER_CONNECTION]
        if response.status != 200 and (answer.started or response.status >= 500):
            refused = await _read(response)
            await _check_goes_on(lease, refused)
            if answer.started:
                raise refusal.from_worker(response.status, refused)
            await answer.begin(response.status, kept)
            await answer.write(refused)
            return
        await answer.begin(response.status, kept)
        is_first = True
        async for piece in response.pieces():
            if is_first:
                await _check_goes_on(lease, piece)
                is_first = False
            await answer.write(piece)


async def _check_goes_on(lease: Lease, first: bytes) -> None:
    """Raise the end of a worker whose first word is that it dies, so that another one may be asked.

    A worker whose device is lost tells us of it just before it tells its requests; one that failed on a single
    request goes on, and its word stands.
    """
    if _DYING not in first:
        return
    await _soon(lease.failed)
    if lease.failed.done():
        raise lease.failed.result()


async def _soon(awaited: asyncio.Future[Any]) -> None:
    """Wait for something for an instant of our own."""
    for _ in range(_LOOKS):
        if awaited.done():
            return
        await asyncio.wait((awaited,), timeout=_LAST_BYTES_S / _LOOKS)


@asynccontextmanager
async def _opened(
    socket: str, method: str, path: str, headers: RawHeaders, body: bytes
) -> AsyncIterator[Connection]:
    connection = await _connected(socket)
    try:
        await connection.ask(method, path, headers, body)
        yield connection
    finally:
        connection.close()


async def _connected(socket: str) -> Connection:
    for pause in _CONNECT_RETRIES_S:
        try:
            return await Connection.open(socket)
        except Broken:
            await asyncio.sleep(pause)
    return await Connection.open(socket)


async def _read(response: Connection) -> bytes:
    body = b""
    async for piece in response.pieces():
        body += piece
        if len(body) > _REFUSAL_BYTES:
            break
    return body
