"""Read a prompt once for all rows that continue it; runs on the engine thread.

Rows asked for together (`n`) hold the very same prompt: one of them reads it, the others follow and get copies of its
cache. One that comes later borrows from a sibling that generates already.
"""

from collections.abc import Iterable

from mlxd.workers.engine.batch import DecodeBatch
from mlxd.workers.engine.sequence import Sequence
from mlxd.workers.prompt_cache import caches


def are_siblings(one: Sequence, other: Sequence) -> bool:
    """Tell whether two rows continue the same prompt of the same request."""
    mine, yours = one.request, other.request
    return (
        one is not other
        and mine.prompt is yours.prompt
        and mine.reading is yours.reading
        and mine.tenant == yours.tenant
    )


def reader_for(row: Sequence, rows: Iterable[Sequence]) -> Sequence | None:
    """Return the row that reads the prompt for this one too, None where it has to be read."""
    if row.answered:
        return None
    leaders = (other for other in rows if other.follows is None and not other.answered)
    return next((other for other in leaders if are_siblings(row, other)), None)


def followers(leader: Sequence, rows: Iterable[Sequence]) -> list[Sequence]:
    """Return the rows that wait for this one to read their prompt."""
    return [row for row in rows if row.follows is leader]


def succeed(leader: Sequence, rows: Iterable[Sequence]) -> Sequence | None:
    """Return the first of a row's followers, which goes on reading where that stopped, for itself and the others."""
    waiting = followers(leader, rows)
    if not waiting:
        return None
    heir = waiting[0]
    for row in waiting:
        row.follows = heir
    heir.follows = None
    heir.cache, heir.stops, heir.cached = leader.cache, leader.stops, leader.cached
    heir.prefilled = leader.prefilled if leader.cache is not None else 0
    return heir


def borrow(row: Sequence, batch: DecodeBatch) -> None:
    """Give a row the prompt's part of a sibling's cache, where the sibling generates and its cache can be cut."""
    length = len(row.request.prompt) - 1
    sibling = next((other for other in batch.rows if are_siblings(row, other)), None)
    if sibling is None or row.prefilled >= length:
        return
    shape, leaves = caches.unfold(batch.extract(sibling))
    if not all(caches.known(leaf) and caches.sliceable(leaf) for leaf in leaves):
        return
    row.cache = caches.fold(shape, [caches.cut(leaf, length) for leaf in leaves])
    row.prefilled, row.stops = length, ()
    if not row.answered:
        row.cached = sibling.cached
