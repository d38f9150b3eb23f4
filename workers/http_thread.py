"""Serve the app on a Unix socket from a thread of its own; the main thread belongs to the engine."""

import asyncio
import os
import socket
import threading

import uvicorn
from starlette.applications import Starlette

from mlxd.protocol.errors import ModelLoadFailed

BACKLOG = 2048
START_SECONDS = 30.0
KEEP_ALIVE_SECONDS = 3600
"""The only client is the supervisor: closing a connection just as it sends the next request would cost that request."""


class _Server(uvicorn.Server):
    """Wait for an event instead of looking ten times a second whether to leave: an idle worker does not wake."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = threading.Event()
        self._leave = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self.up.set()

    async def main_loop(self) -> None:
        await self._leave.wait()

    def leave(self) -> None:
        """End the server; called on its event loop."""
        self.should_exit = True
        self._leave.set()


class HttpThread:
    """Run uvicorn on its own event loop."""

    def __init__(self, app: Starlette, path: str) -> None:
        config = uvicorn.Config(
            app, log_config=None, access_log=False, date_header=False, server_header=False,
            loop="asyncio", http="httptools", ws="none", timeout_graceful_shutdown=1,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
        )  # fmt: skip
        self._config = config
        self._path = path
        self._socket = _listen(path)
        self._server: _Server | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._made = threading.Event()
        self._thread = threading.Thread(target=self._run, name="http", daemon=True)

    def start(self) -> None:
        """Begin to serve; returns once requests are answered."""
        self._thread.start()
        self._made.wait(START_SECONDS)
        if self._server is None or not self._server.up.wait(START_SECONDS):
            raise ModelLoadFailed("the worker's HTTP server did not come up")

    def stop(self, seconds: float) -> None:
        """Let running answers end, for so long; then remove the socket."""
        if self._loop is not None and self._server is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._server.leave)
            self._thread.join(seconds)
        try:
            os.unlink(self._path)
        except OSError:
            pass  # the supervisor may have removed the whole folder

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._server = _Server(self._config)
        self._made.set()
        await self._server.serve(sockets=[self._socket])


def _listen(path: str) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
    before = os.umask(0o177)
    try:
        listener.bind(path)
    finally:
        os.umask(before)
    listener.listen(BACKLOG)
    return listener
