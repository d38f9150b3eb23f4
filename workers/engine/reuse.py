"""Spare rows the reading of what is known of their prompts, and remember what was computed for them.

Runs on the engine thread, between two steps: whatever takes long is done in short turns. A row is never worse off for
it: where the prompt cache fails, its prompt is read as if nothing were known. A device that fails is no such case: MLX
tells of that once, whoever happens to ask for something next, and all that was computed is in doubt then.
"""

import logging
from collections.abc import Callable, Collection
from itertools import islice
from typing import Any, TypeVar

from mlxd.workers import limits
from mlxd.workers.engine.sequence import Sequence
from mlxd.workers.prompt_cache.checkpoints import plan
from mlxd.workers.prompt_cache.eviction_order import Kind
from mlxd.workers.prompt_cache.memory_tier import SHORTEST, Hit
from mlxd.workers.prompt_cache.stats import CacheStats
from mlxd.workers.prompt_cache.tiers import PromptCache

log = logging.getLogger(__name__)
T = TypeVar("T")

SHARE = 0.25
"""Part of the room for caches that the prompt cache may take at the most."""
WORTH = 64
"""Tokens read that are worth a copy before the row has ended, which keeps them anyway."""
BUSY_SECONDS = 0.005
"""How long rows that run may be held up by one that is read from disk."""
ALONE_SECONDS = 0.05
"""The same while nothing runs: how long a message waits."""
STEP_SECONDS = 0.002
"""How long each step may write what is about to be evicted."""
REST_SECONDS = 0.02
"""How long an idle loop writes before it looks for messages again."""
LAST_SECONDS = 5.0
"""How long the end may be put off by states that are not on disk yet."""
SHRINK_SECONDS = 0.5
"""How long an idle loop writes what it is to give back, before it answers anything else."""


def share(wanted: int, room: int) -> int:
    """Return what of the room for caches the prompt cache gets."""
    return max(min(wanted, int(room * SHARE)), 0)


class Reuse:
    """Stand between the loop and the prompt cache; without one, nothing is known and nothing kept."""

    def __init__(
        self, cache: PromptCache | None = None, trim_limit: int = 0, wanted: int = 0
    ) -> None:
        self._cache = cache
        self._trim_limit = trim_limit
        """Up to how many tokens a state serves every prefix of its tokens."""
        self._wanted = wanted

    def stats(self) -> CacheStats | None:
        """Return what is held and was done, None without a prompt cache."""
        return self._cache.stats() if self._cache is not None else None

    def resize(self, room: int) -> int:
        """Take a share of another room for caches; return what is left for rows."""
        if self._cache is None:
            return room
        limit = share(self._wanted, room)
        self._cache.resize(limit)
        return room - limit

    def shrink(self, *, busy: bool) -> None:
        """Give memory back: what the disk does not have yet goes as soon as it is written."""
        if self._cache is not None:
            self._cache.release()
            self._cache.flush(STEP_SECONDS if busy else SHRINK_SECONDS)

    def ready(
        self, waiting: Collection[Sequence], free: int, *, others_run: bool
    ) -> list[Sequence]:
        """Return the rows that need not wait for the disk; read a little for the first that does."""
        if self._cache is None or not waiting:
            return list(waiting)
        for row in islice(waiting, free):
            if not row.looked_up:
                row.looked_up = True
                row.restore = self._guarded(row, self._cache.restore)
        held_up = [row for row in waiting if row.restore is not None]
        begun = [row for row in held_up if row.restore is not None and row.restore.held]
        for row in (begun or held_up)[:1]:
            self._restore(row, BUSY_SECONDS if others_run else ALONE_SECONDS)
        for row in held_up:
            if row.restore is not None and row.restore.done:
                row.restore = None
        return [row for row in waiting if row.restore is None]

    def begin(self, row: Sequence) -> None:
        """Give a row that joins what is known of its prompt, and say where its reading must stop to be kept."""
        if self._cache is None:
            return
        hit = self._fetch(self._cache, row)
        if hit is not None:
            row.cache, row.prefilled = hit.cache, hit.length
            if not row.answered:
                row.cached = hit.length
        trimmable = len(row.tokens) <= self._trim_limit
        if trimmable and row.to_prefill < WORTH:
            return
        asked = row.request
        row.stops = plan(
            len(row.tokens),
            ends=asked.ends,
            system=asked.system,
            cached=row.prefilled,
            trimmable=trimmable,
        )

    def reached(self, row: Sequence, cache: Callable[[], list[Any]]) -> None:
        """Keep a row's state if its reading has come to a stop."""
        if row.stops and row.prefilled == row.stops[0].position:
            self._keep(row, row.prefilled, cache, row.stops[0].kind)
            row.stops = row.stops[1:]

    def leave_prompt(self, row: Sequence) -> None:
        """Keep what was read of a row that goes before all was: the same request may come again."""
        if row.cache is not None and row.prefilled > row.cached:
            own = row.cache
            self._keep(row, row.prefilled, lambda: own, Kind.PREFILL)

    def leave_batch(self, row: Sequence, cache: Callable[[], list[Any]]) -> None:
        """Keep the state of a row that generates no more."""
        self._keep(row, row.fed, cache, Kind.ROW)

    def write(self) -> None:
        """Write for a moment what is about to be evicted."""
        if self._cache is not None:
            self._cache.flush(STEP_SECONDS)

    def rest(self) -> bool:
        """Write for a moment what is not on disk; True when nothing is left."""
        return self._cache is None or self._cache.flush(REST_SECONDS, everything=True)

    def finish(self) -> None:
        """Write what is not on disk, as far as there is time."""
        if self._cache is not None and not self._cache.flush(LAST_SECONDS, everything=True):
            log.warning("prompt cache: no time to write everything before the end")

    def _fetch(self, cache: PromptCache, row: Sequence) -> Hit | None:
        """Return what is known of a row's beginning, up to the last place that cuts no picture in two."""
        hit, reading = self._guarded(row, cache.fetch), row.request.reading
        if hit is None or reading is None or reading.whole(hit.length) == hit.length:
            return hit
        known = row.key[: reading.whole(hit.length) + 1]
        return self._guarded(row, lambda _, tenant: cache.fetch(known, tenant))

    def _restore(self, row: Sequence, seconds: float) -> None:
        try:
            if row.restore is not None:
                row.restore.step(seconds)
        except Exception as error:
            _raise_if_lost(error)
            log.exception("prompt cache: reading a state failed")
            row.restore = None

    def _guarded(self, row: Sequence, look: Callable[[list[int], str], T | None]) -> T | None:
        try:
            return look(_worth_knowing(row), row.request.tenant)
        except Exception as error:
            _raise_if_lost(error)
            log.exception("prompt cache: looking a prompt up failed")
            return None

    def _keep(self, row: Sequence, length: int, cache: Callable[[], list[Any]], kind: Kind) -> None:
        if self._cache is None or not SHORTEST <= length <= len(row.tokens):
            return
        asked = row.request
        try:
            self._cache.store(
                row.key[:length],
                cache(),
                kind,
                tenant=asked.tenant,
                system=asked.system if asked.system <= length else 0,
            )
        except Exception as error:
            _raise_if_lost(error)
            log.exception("prompt cache: keeping a state failed")


def _raise_if_lost(error: Exception) -> None:
    """Let an error of the device end the worker."""
    if limits.is_device_error(error):
        raise error


def _worth_knowing(row: Sequence) -> list[int]:
    """Return the key to look up: of a prompt with pictures a token is always read, so that they have been looked at."""
    return row.key if row.request.reading is None else row.key[:-1]
