"""Be told by Linux the moment memory runs short: triggers on its pressure stall information, where it grants them.

The kernel says so at most once per window for as long as work stands still, and costs nothing in between.
"""

import asyncio
import logging
import os
import select
from collections.abc import Callable
from pathlib import Path

from mlxd.supervisor.pressure.relief import Level

logger = logging.getLogger("mlxd.pressure")

FILE = Path("/proc/pressure/memory")
_TRIGGERS = {
    Level.WARNING: b"some 200000 2000000\0",
    Level.CRITICAL: b"full 200000 2000000\0",
}
"""A tenth of two seconds, in microseconds: the shortest window that is granted without privileges."""


class StallWatch:
    """Own the descriptors of the triggers while it is open."""

    def __init__(self, file: Path = FILE) -> None:
        self._file = file
        self._open: list[tuple[int, select.epoll]] = []

    def open(self, on_stall: Callable[[Level], None]) -> bool:
        """Begin to call back on each stall; tell whether the kernel grants it."""
        if not hasattr(select, "epoll"):
            return False
        try:
            for level, trigger in _TRIGGERS.items():
                descriptor = os.open(self._file, os.O_RDWR | os.O_NONBLOCK)
                self._watch(descriptor, lambda level=level: on_stall(level))  # type: ignore[misc]
                os.write(descriptor, trigger)
        except OSError as error:
            logger.info("no trigger for memory pressure, looking now and then error=%r", str(error))
            self.close()
            return False
        return True

    def close(self) -> None:
        """Give the triggers back."""
        loop = asyncio.get_running_loop()
        for descriptor, poll in self._open:
            loop.remove_reader(poll.fileno())
            poll.close()
            os.close(descriptor)
        self._open.clear()

    def _watch(self, descriptor: int, call: Callable[[], None]) -> None:
        """Have the event loop, which knows reading and writing only, see an urgent event as one to read."""
        poll = select.epoll()
        self._open.append((descriptor, poll))
        poll.register(descriptor, select.EPOLLPRI)

        def on_event() -> None:
            # Looking at the trigger has taken the event back already: it is there no more, unless as an error.
            if any(mask & select.EPOLLERR for _, mask in poll.poll(0)):
                logger.error("the trigger for memory pressure broke")
                self.close()
                return
            call()

        asyncio.get_running_loop().add_reader(poll.fileno(), on_event)
