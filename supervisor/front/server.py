"""Run the app on a listening socket until a signal says stop."""

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import Awaitable, Callable, Iterator

import uvicorn
from starlette.types import ASGIApp

from mlxd.supervisor.front import slow_clients
from mlxd.supervisor.front.listener import BACKLOG

logger = logging.getLogger("mlxd.server")

_KEEP_ALIVE_S = 75
"""Idle connections live longer than the pools of usual clients keep them, so none is closed under a request."""
_HEADER_BYTES = 64 * 1024
"""The most that a request's line and headers may have; beyond it the answer is 400."""
_LAST_RESPONSES_S = 5.0
_FLUSH_S = 1.0
RELOAD = signal.SIGUSR1
"""What has the configuration read again, wherever the daemon runs."""
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, RELOAD)


class _Uvicorn(uvicorn.Server):
    """Wait for an event where uvicorn would wake ten times a second to look whether it should leave."""

    def __init__(self, config: uvicorn.Config, stop: asyncio.Event) -> None:
        super().__init__(config)
        self._stop = stop

    async def main_loop(self) -> None:
        """Return when told to stop."""
        await self._stop.wait()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to us."""
        yield


class Server:
    """Serve, then stop in order: no new connections, the workers drained, the last responses sent."""

    def __init__(
        self,
        app: ASGIApp,
        listener: socket.socket,
        *,
        drain: Callable[[], Awaitable[None]],
        hurry: Callable[[], None],
        reload: Callable[[], object] | None = None,
        hangup_ends: bool = False,
        client_timeout: float,
    ) -> None:
        self._listener = listener
        self._drain = drain
        self._hurry = hurry
        self._reload = reload
        self._hangup_ends = hangup_ends
        self._stop = asyncio.Event()
        self._hurried = asyncio.Event()
        config = uvicorn.Config(
            app,
            http=slow_clients.protocol(client_timeout),
            h11_max_incomplete_event_size=_HEADER_BYTES,
            ws="none",
            lifespan="off",
            access_log=False,
            log_config=None,
            proxy_headers=False,
            server_header=False,
            date_header=False,
            backlog=BACKLOG,
            timeout_keep_alive=_KEEP_ALIVE_S,
        )
        self._uvicorn = _Uvicorn(config, self._stop)

    def heed_signals(self) -> None:
        """Take signals from now on; call it before anybody can know which process to send them to."""
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.add_signal_handler(number, self._on_signal, number)

    async def run(self, on_listening: Callable[[], None]) -> None:
        """Serve until SIGTERM or SIGINT and return when all is over; a second one hurries.

        SIGUSR1 reloads, and SIGHUP too unless it says that the terminal was closed which the daemon runs in.
        """
        self.heed_signals()
        loop = asyncio.get_running_loop()
        serving = asyncio.create_task(self._uvicorn.serve(sockets=[self._listener]))
        loop.call_soon(on_listening)
        stopping = asyncio.create_task(self._stop.wait())
        await asyncio.wait((serving, stopping), return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        await self._drain()
        await self._last_responses(serving)

    async def _last_responses(self, serving: "asyncio.Task[None]") -> None:
        """Let requests say their last word; what then still runs is cut off."""
        hurried = asyncio.create_task(self._hurried.wait())
        waited_for = (serving, hurried)
        await asyncio.wait(
            waited_for, timeout=_LAST_RESPONSES_S, return_when=asyncio.FIRST_COMPLETED
        )
        hurried.cancel()
        if not serving.done():
            self._uvicorn.force_exit = True
            for task in self._uvicorn.server_state.tasks:
                task.cancel()
            await asyncio.wait((serving,), timeout=_FLUSH_S)
            for connection in list(self._uvicorn.server_state.connections):
                connection.transport.abort()  # its client does not read
        await serving

    def _on_signal(self, number: int) -> None:
        reloads = number == RELOAD or (number == signal.SIGHUP and not self._hangup_ends)
        if reloads and self._reload is not None:
            if not self._stop.is_set():
                self._reload()
            return
        if self._stop.is_set():
            logger.warning("signal=%s hurrying", signal.Signals(number).name)
            self._hurried.set()
            self._hurry()
            return
        logger.info("signal=%s stopping", signal.Signals(number).name)
        self._stop.set()
