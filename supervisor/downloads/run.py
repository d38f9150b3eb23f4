"""Follow one downloading process, for everybody who waits for what it brings."""

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncGenerator

import msgspec

from mlxd.protocol import errors
from mlxd.protocol.downloads import Failed, Order, Progress, decode_event
from mlxd.protocol.errors import InternalError, MlxdError, ShuttingDown
from mlxd.supervisor.downloads import child

_LEAVE_S = 5.0
_SILENCE_S = 5.0
_LOG_BYTES = 4096
_MOST_LINE = 1 << 20

logger = logging.getLogger("mlxd.downloads")
_BY_CODE = {
    kind.code: kind
    for kind in (
        errors.DiskFull,
        errors.HubRefused,
        errors.HubUnreachable,
        errors.InvalidRequest,
        errors.RepoNotFound,
    )
}


class DownloadRun:
    """Own the process of one order; it lives for as long as somebody follows it."""

    def __init__(self, order: Order) -> None:
        self.order = order
        self.followers = 0
        self.latest: Progress | None = None
        self._failure: MlxdError | None = None
        self._over = False
        self._steps = 0
        self._changed = asyncio.Condition()
        self._task = asyncio.create_task(self._run())

    @property
    def is_over(self) -> bool:
        """Whether nothing more will come."""
        return self._over

    async def follow(self) -> AsyncGenerator[Progress]:
        """Yield the newest state whenever it changed and every few seconds, the final one in any case.

        Raises why the download failed.
        """
        seen = 0
        while True:
            with contextlib.suppress(
                TimeoutError
            ):  # said again: whoever listens counts the seconds
                await asyncio.wait_for(self._news(seen), _SILENCE_S)
            seen, latest, over = self._steps, self.latest, self._over
            if over and self._failure is not None:
                raise self._failure
            if latest is not None:
                yield latest
            if over:
                return

    async def _news(self, seen: int) -> None:
        async with self._changed:
            await self._changed.wait_for(lambda: self._steps > seen or self._over)

    async def end(self, reason: MlxdError | None = None) -> None:
        """Have the process leave and wait until it has; what it has brought stays."""
        if not self._over and self._failure is None:
            self._failure = reason or ShuttingDown("the download was cancelled")
        self._task.cancel()
        await asyncio.wait((self._task,))

    async def _run(self) -> None:
        try:
            await self._exchange()
        except asyncio.CancelledError:
            pass
        except OSError as error:
            self._failure = InternalError(f"the download cannot be started: {error.strerror}")
        except Exception:
            logger.exception("download model=%s", self.order.model)
            self._failure = InternalError("the download failed; the log says why")
        finally:
            self._over = True
            async with self._changed:
                self._changed.notify_all()

    async def _exchange(self) -> None:
        process = await asyncio.create_subprocess_exec(
            *child.COMMAND,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=child.environment(os.environ),
            limit=_MOST_LINE,
            start_new_session=True,
        )
        assert process.stdin and process.stdout and process.stderr
        logger.info("download model=%s pid=%d", self.order.model, process.pid)
        noise = asyncio.create_task(_log(process.stderr, self.order.model))
        try:
            process.stdin.write(msgspec.json.encode(self.order) + b"\n")
            await process.stdin.drain()
            async for line in process.stdout:
                await self._take(decode_event(line))
            code = await process.wait()
            done = self.latest is not None and self.latest.status in ("done", "planned")
            if self._failure is None and not (code == 0 and done):
                self._failure = InternalError(f"the download ended with exit code {code}")
        finally:
            await _leave(process)
            noise.cancel()

    async def _take(self, event: Progress | Failed) -> None:
        if isinstance(event, Failed):
            kind = _BY_CODE.get(event.code, InternalError)
            self._failure = kind(event.message, field=event.field)
            return
        async with self._changed:
            self.latest = event
            self._steps += 1
            self._changed.notify_all()


async def _leave(process: asyncio.subprocess.Process) -> None:
    """End the process by the end of its input; it holds nothing that a signal could spoil."""
    if process.returncode is not None:
        return
    if process.stdin:
        process.stdin.close()
    try:
        await asyncio.wait_for(process.wait(), _LEAVE_S)
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def _log(stream: asyncio.StreamReader, model: str) -> None:
    while chunk := await stream.read(_LOG_BYTES):
        for line in chunk.decode(errors="replace").splitlines():
            logger.warning("download model=%s said %s", model, line)
