"""Give a request a second worker when the first one died before it had said anything."""

import logging
from collections.abc import Awaitable, Callable

from mlxd.protocol.errors import WorkerDied

logger = logging.getLogger("mlxd.front")


async def second_try(
    attempt: Callable[[], Awaitable[None]], has_begun: Callable[[], bool], name: str
) -> None:
    """Make the attempt, and exactly one more if its worker died by itself and its client has nothing of it yet.

    A request that kills its worker thus costs two, and no third.
    """
    try:
        await attempt()
    except WorkerDied as error:
        if not error.may_retry or has_begun():
            raise
        logger.warning("%s tried once more error=%r", name, error.message)
        await attempt()
