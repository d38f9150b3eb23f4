"""Send requests at the same time over connections that stay open, at next to no cost: clients are not measured here."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

_Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class LightClient:
    """Hold one open connection for each request at a time."""

    def __init__(self, free: list[_Connection]) -> None:
        self._free = free

    async def post(self, path: str, body: Mapping[str, Any]) -> bytes:
        """Return the body of an answer; raises RuntimeError for one that is an error."""
        content = json.dumps(body).encode()
        head = f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
        reader, writer = connection = self._free.pop()
        writer.write(f"{head}content-length: {len(content)}\r\n\r\n".encode() + content)
        answered = await reader.readuntil(b"\r\n\r\n")
        status, _, headers = answered.decode("latin-1").partition("\r\n")
        fields = dict(line.lower().split(": ", 1) for line in headers.split("\r\n") if line)
        said = await reader.readexactly(int(fields["content-length"]))
        self._free.append(connection)
        if " 200 " not in status:
            raise RuntimeError(f"{status}: {said[:200]!r}")
        return said


@asynccontextmanager
async def light_client(url: str, connections: int) -> AsyncIterator[LightClient]:
    """Open that many connections, and close them."""
    place = urlsplit(url)
    found = [await asyncio.open_connection(place.hostname, place.port) for _ in range(connections)]
    try:
        yield LightClient(list(found))
    finally:
        for _, writer in found:
            writer.close()
