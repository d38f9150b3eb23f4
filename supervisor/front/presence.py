"""Work for a client only as long as it is there."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.types import Receive

from mlxd.supervisor.front.body import ClientGone

T = TypeVar("T")


async def while_present(receive: Receive, work: Coroutine[Any, Any, T]) -> T:
    """Return what `work` does, or cancel it the moment the client leaves and raise ClientGone once it has wound up.

    The request's body must have been read, so that all `receive` can still tell is the departure. `work` must not
    suspend after it has sent the last byte: a complete response looks like a departure.
    """
    task = asyncio.create_task(work)
    watch = asyncio.create_task(_departure(receive))
    try:
        await asyncio.wait((task, watch), return_when=asyncio.FIRST_COMPLETED)
        gone = not task.done()
    finally:
        await wind_up(task, watch)
    if gone:
        raise ClientGone
    return task.result()


async def wind_up(*tasks: "asyncio.Task[Any]") -> None:
    """Cancel the tasks and wait until they have ended; how they ended counts as seen."""
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    for task in tasks:
        if not task.cancelled():
            task.exception()


async def _departure(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
