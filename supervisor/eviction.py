"""Choose which workers make room: a pure function, never one that is busy or pinned."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Resident:
    """Describe a ready worker that might go. Times are monotonic seconds."""

    model_id: str
    leases: int
    pinned: bool
    idle_since: float
    waited_for: bool = False
    """Whether queued requests name it, so that evicting it would undo itself."""


def choose(residents: Iterable[Resident], count: int) -> Sequence[str]:
    """Return the ids of the `count` least recently used idle, unpinned residents, or fewer if there are fewer."""
    idle = [r for r in residents if not r.leases and not r.pinned and not r.waited_for]
    idle.sort(key=lambda r: (r.idle_since, r.model_id))
    return [r.model_id for r in idle[: max(0, count)]]


def choose_to_yield(residents: Iterable[Resident], count: int) -> Sequence[str]:
    """Return whom to drain for a request that has waited too long: idle ones first, then the least recently used.

    A drained worker finishes its requests; it only gets no new ones.
    """
    movable = [r for r in residents if not r.pinned]
    movable.sort(key=lambda r: (r.leases > 0 or r.waited_for, r.idle_since, r.model_id))
    return [r.model_id for r in movable[: max(0, count)]]
