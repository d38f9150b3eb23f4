"""Choose which workers make room: pure functions that never name a pinned one."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mlxd.supervisor.scheduling.room import Room


@dataclass(frozen=True, slots=True)
class Resident:
    """Describe a ready worker that might go. Times are monotonic seconds."""

    model_id: str
    leases: int
    pinned: bool
    idle_since: float
    waited_for: bool = False
    """Whether queued requests name it, so that evicting it would undo itself."""
    held_bytes: int = 0
    """What comes back when it goes."""


def choose(residents: Iterable[Resident], short: Room) -> Sequence[str]:
    """Return the least recently used idle, unpinned residents that make up for `short`, and none that need not go.

    Returns nobody where all of them together would not do: evicting some would cost a load and gain nothing.
    """
    idle = [r for r in residents if not r.leases and not r.pinned and not r.waited_for]
    idle.sort(key=lambda r: (r.idle_since, r.model_id))
    return _enough(idle, short)


def choose_to_yield(residents: Iterable[Resident], short: Room) -> Sequence[str]:
    """Return whom to drain for a request that has waited too long: idle ones first, then the least recently used.

    A drained worker finishes its requests; it only gets no new ones.
    """
    movable = [r for r in residents if not r.pinned]
    movable.sort(key=lambda r: (r.leases > 0 or r.waited_for, r.idle_since, r.model_id))
    return _enough(movable, short)


def _enough(candidates: Sequence[Resident], short: Room) -> Sequence[str]:
    taken: list[Resident] = []
    for resident in candidates:
        if short.fits_in(_room(taken)):
            break
        taken.append(resident)
    if not short.fits_in(_room(taken)):
        return []
    for resident in reversed(taken[:]):  # the most recently used of them are spared first
        rest = [r for r in taken if r is not resident]
        if short.fits_in(_room(rest)):
            taken = rest
    return [r.model_id for r in taken]


def _room(residents: Sequence[Resident]) -> Room:
    return Room(len(residents), sum(r.held_bytes for r in residents))
