"""Stand between a client and a server, and write down when bytes come."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

_READ = 1 << 16


@dataclass
class ByteClock:
    """Hold what a server sent, with the time of each piece."""

    url: str = ""
    began: float = 0.0
    """When the last connection was made."""
    pieces: list[tuple[float, bytes]] = field(default_factory=list)

    @property
    def content(self) -> bytes:
        """Return all that came."""
        return b"".join(piece for _, piece in self.pieces)

    @property
    def longest_silence(self) -> float:
        """Return the longest time without a byte, that from the connection to the first one included."""
        times = [self.began, *(at for at, _ in self.pieces)]
        return max(later - earlier for earlier, later in zip(times, times[1:], strict=False))

    @property
    def lasted(self) -> float:
        """Return the time from there to the last byte."""
        return self.pieces[-1][0] - self.began


@asynccontextmanager
async def between(server: str) -> AsyncIterator[ByteClock]:
    """Give an address that leads to the server, by a way that is watched."""
    host, _, port = server.rpartition("/")[2].partition(":")
    clock = ByteClock()
    ways: set[asyncio.Task[None]] = set()

    async def up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while piece := await reader.read(_READ):
            writer.write(piece)
            await writer.drain()

    async def down(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while piece := await reader.read(_READ):
            clock.pieces.append((time.monotonic(), piece))
            writer.write(piece)
            await writer.drain()

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        way = asyncio.current_task()
        assert way is not None
        ways.add(way)
        clock.began = time.monotonic()
        theirs, ours = await asyncio.open_connection(host, int(port))
        both = [asyncio.create_task(up(reader, ours)), asyncio.create_task(down(theirs, writer))]
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in both:
                task.cancel()
            for end in (writer, ours):
                end.close()
            await asyncio.gather(*both, return_exceptions=True)

    listening = await asyncio.start_server(pass_on, "127.0.0.1", 0)
    clock.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    try:
        yield clock
    finally:
        listening.close()
        await asyncio.wait_for(asyncio.gather(*ways, return_exceptions=True), 30)
