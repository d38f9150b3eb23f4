"""Reach the database of responses from the event loop: one thread does its work, in the order it was asked for."""

import asyncio
import logging
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from mlxd.config.settings import Responses as Limits
from mlxd.protocol.errors import DiskFull
from mlxd.supervisor.access import tenant
from mlxd.supervisor.responses.database import Database

logger = logging.getLogger("mlxd.responses")
T = TypeVar("T")

_FULL = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)


class ResponseStore:
    """Own the thread; the file is opened when it is first needed."""

    def __init__(self, path: Path | None, limits: Limits) -> None:
        self._path, self._limits = path, limits
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="mlxd-responses")
        self._database: Database | None = None

    @property
    def keeps(self) -> bool:
        """Say whether anything is kept at all."""
        return self._limits.max_stored > 0

    def submit(
        self, work: Callable[[Database], T], owner: str | None = None
    ) -> "asyncio.Future[T]":
        """Have work done after all that was asked for before; later questions see what it changed.

        It sees and keeps what belongs to `owner`, the id of a key; without one, to whoever calls.
        """
        whose = tenant.current().id if owner is None else owner
        return asyncio.get_running_loop().run_in_executor(self._thread, self._do, work, whose)

    async def run(self, work: Callable[[Database], T]) -> T:
        """Return what the work returns."""
        return await self.submit(work)

    async def finish(self, saving: "asyncio.Future[None] | None") -> None:
        """Wait until something is kept; a full disk is nothing an answer should fail for."""
        if saving is None:
            return
        try:
            await saving
        except Exception:
            logger.exception("a response could not be stored")

    async def close(self) -> None:
        """Close the file once all work is done."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._close)
        self._thread.shutdown(wait=False)

    def _do(self, work: Callable[[Database], T], whose: str) -> T:
        try:
            return self._done(work, whose)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF not in _FULL:
                raise
            raise DiskFull(f"nothing can be kept of responses: {error}") from None

    def _done(self, work: Callable[[Database], T], whose: str) -> T:
        if self._database is None:
            limits = self._limits
            self._database = Database(
                self._path, max_stored=limits.max_stored, max_bytes=limits.max_bytes
            )
        self._database.tenant = whose
        return work(self._database)

    def _close(self) -> None:
        if self._database is not None:
            self._database.close()
