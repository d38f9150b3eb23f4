"""Hold the right to use a ready worker for one request."""

import asyncio
from typing import Protocol

from mlxd.protocol.errors import WorkerDied


class Lender(Protocol):
    """Take a lease back."""

    def end_lease(self, lease: "Lease", *, served: bool) -> None:
        """Take it; one that was failed already is gone."""
        ...


class Lease:
    """Name the worker that a request may use, and tell when it will not finish the request."""

    def __init__(self, lender: Lender, model_id: str, socket: str, pid: int) -> None:
        self._lender = lender
        self.model_id = model_id
        self.socket = socket
        self.pid = pid
        self.failed: asyncio.Future[WorkerDied] = asyncio.get_running_loop().create_future()
        """Resolves as soon as the worker will not finish this request: it ended, hung or was stopped by force."""

    def fail(self, error: WorkerDied) -> None:
        """Tell whoever holds it that the worker is lost."""
        if not self.failed.done():  # a task that awaited it and was cancelled took it along
            self.failed.set_result(error)

    async def failure(self, within: float = 30.0) -> WorkerDied:
        """Return why the request broke; for a caller whose connection to the worker just ended.

        A process closes its connections long before it is gone, if it has much memory to give back.
        """
        try:
            return await asyncio.wait_for(asyncio.shield(self.failed), within)
        except TimeoutError:
            return WorkerDied("the worker closed the connection before it had answered")

    def end(self, *, served: bool) -> None:
        """Give the worker back."""
        self._lender.end_lease(self, served=served)
