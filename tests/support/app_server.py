"""Serve an ASGI app inside the test's own event loop."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp

from mlxd.supervisor.front.listener import listen


class Serving:
    """A running server."""

    def __init__(self, server: uvicorn.Server, listener: socket.socket) -> None:
        self._server = server
        self._listener = listener

    @property
    def url(self) -> str:
        """Where it listens, if not on a Unix socket."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self._listener.getsockname()[1])

    @property
    def requests(self) -> int:
        """How many requests run."""
        return len(self._server.server_state.tasks)

    @property
    def is_held_back(self) -> bool:
        """Whether some client does not read what it is sent."""
        connections = self._server.server_state.connections
        return any(connection.flow.write_paused for connection in connections)  # type: ignore[union-attr]

    def break_connections(self) -> None:
        """End all connections as the death of a process does."""
        for connection in list(self._server.server_state.connections):
            connection.transport.abort()

    async def close(self) -> None:
        """Stop listening, break what is left, wait for the requests to end."""
        for server in self._server.servers:
            server.close()
        self.break_connections()
        if self._server.server_state.tasks:
            await asyncio.wait(self._server.server_state.tasks, timeout=60)


@asynccontextmanager
async def serving(app: ASGIApp, path: Path | None = None) -> AsyncIterator[Serving]:
    """Serve on a free port of loopback, or on a Unix socket at `path`."""
    if path is None:
        listener = listen("127.0.0.1", 0)
    else:
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(path))
    config = uvicorn.Config(
        app, http="h11", ws="none", lifespan="off", access_log=False, log_config=None
    )
    server = uvicorn.Server(config)
    config.load()
    server.lifespan = config.lifespan_class(config)
    await server.startup(sockets=[listener])
    running = Serving(server, listener)
    try:
        yield running
    finally:
        await running.close()
