"""Tell the time; the only place of the lifecycle that asks the system for it."""

import time
from typing import Protocol


class Clock(Protocol):
    """Give the two times the supervisor uses."""

    def monotonic(self) -> float:
        """Return seconds that never run backwards; timers count with these."""
        ...

    def wall(self) -> float:
        """Return Unix seconds; people are shown these."""
        ...


class SystemClock:
    """Ask the system."""

    def monotonic(self) -> float:
        """Return `time.monotonic()`, the clock asyncio's own timers use."""
        return time.monotonic()

    def wall(self) -> float:
        """Return `time.time()`."""
        return time.time()
