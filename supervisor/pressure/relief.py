"""Decide what to give back when the machine runs short of memory: pure functions."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

_STALL_PERCENT = 10.0
"""Share of the last ten seconds that work stood still for want of memory."""


class Level(IntEnum):
    """Say how short memory is."""

    NORMAL = 1
    WARNING = 2
    CRITICAL = 4


_MEANS = {"some": Level.WARNING, "full": Level.CRITICAL}
"""By who stood still: some of the tasks, or all of them."""


@dataclass(frozen=True, slots=True)
class Resident:
    """Describe a ready worker. Times are monotonic seconds."""

    model_id: str
    leases: int = 0
    pinned: bool = False
    waited_for: bool = False
    idle_since: float = 0.0


@dataclass(frozen=True, slots=True)
class Relief:
    """Name who gives back freed buffers, and who leaves."""

    shrink: tuple[str, ...] = ()
    evict: tuple[str, ...] = ()


def relief(level: Level, before: Level, residents: Sequence[Resident]) -> Relief:
    """Return what to do about a level of pressure, where `before` was the one at the last look.

    At first all give back what they keep only to be faster. If that was not enough, idle workers leave, the least
    recently used first; in an emergency all of them at once. Busy and pinned ones stay.
    """
    if level is Level.NORMAL:
        return Relief()
    idle = [r for r in residents if not r.leases and not r.pinned and not r.waited_for]
    idle.sort(key=lambda r: (r.idle_since, r.model_id))
    if level is Level.WARNING:
        idle = idle[:1] if before is not Level.NORMAL else []
    leaving = tuple(r.model_id for r in idle)
    return Relief(tuple(r.model_id for r in residents if r.model_id not in leaving), leaving)


def level_of_stall(information: str) -> Level:
    """Return the level that Linux's pressure stall information means."""
    level = Level.NORMAL
    for line in information.splitlines():
        kind, _, rest = line.partition(" avg10=")
        if kind in _MEANS and float(rest.partition(" ")[0]) >= _STALL_PERCENT:
            level = max(level, _MEANS[kind])
    return level
