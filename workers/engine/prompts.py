"""Read the prompts of rows that have joined, slice by slice; runs on the engine thread."""

import functools
import logging
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import mlx.core as mx

from mlxd.workers import limits
from mlxd.workers.engine import batch as batches
from mlxd.workers.engine import siblings
from mlxd.workers.engine.reuse import Reuse
from mlxd.workers.engine.scheduler import Slice
from mlxd.workers.engine.sequence import Sequence, SequenceState

log = logging.getLogger(__name__)

CLEAR_TOKENS = 256
"""Prompt tokens read at once after which freed buffers go back to the system; they are large and of odd sizes."""
PACE_TOKENS = 64
"""Slices from this length on tell how fast prompts are read; shorter ones are all overhead."""


class PromptFailed(Exception):
    """Report the one row whose prompt cannot be read."""

    def __init__(self, row: Sequence, error: Exception) -> None:
        super().__init__(str(error))
        self.row, self.error = row, error


@dataclass(frozen=True, slots=True)
class ReadPrompts:
    """Hold rows that are ready to generate, and their cache: one's own is for all that continue the same prompt."""

    rows: list[Sequence]
    cache: list[Any]
    merged: bool
    """Whether the cache is a batch's, or a single row's own."""


class Prompts:
    """Own the rows between admission and their first decode step."""

    def __init__(self, model: batches.Model, reuse: Reuse) -> None:
        self._model = model
        self._reuse = reuse
        self._alone: set[int] = set()
        self.rows: dict[int, Sequence] = {}
        self.pace: float | None = None
        """Tokens read per second; None before the first slice."""
        self.tokens_read = 0

    @property
    def alone(self) -> frozenset[int]:
        """Rows that cannot be read side by side: begun already, or part of a group that failed."""
        return frozenset(self._alone)

    @property
    def nbytes(self) -> int:
        """Bytes of the rows' own caches."""
        return sum(batches.cache_bytes(row.cache or ()) for row in self.rows.values())

    def follow(self, row: Sequence) -> bool:
        """Take a row whose prompt is being read for another one; tell whether there is such."""
        leader = siblings.reader_for(row, self.rows.values())
        if leader is None:
            return False
        row.state, row.follows, row.cached = SequenceState.PREFILL, leader, leader.cached
        self.rows[row.uid] = row
        self._alone.add(leader.uid)  # one that reads for several is read by itself
        return True

    def add(self, row: Sequence) -> ReadPrompts | None:
        """Take a row; it comes back at once if there is nothing to read."""
        if not row.to_prefill:
            return _alone(row, row.cache or batches.new_cache(self._model))
        row.state = SequenceState.PREFILL
        self.rows[row.uid] = row
        if row.cache is not None or _stops_early(row) or row.request.reading is not None:
            self._alone.add(row.uid)
        return None

    def leave(self, uid: int) -> bool:
        """Let a row go before its prompt is read; tell whether it was here."""
        if uid in self.rows:
            self._reuse.leave_prompt(self.rows[uid])
        return self.drop(uid)

    def drop(self, uid: int) -> bool:
        """Forget a row; tell whether it was here."""
        self._alone.discard(uid)
        row = self.rows.pop(uid, None)
        heir = siblings.succeed(row, self.rows.values()) if row is not None else None
        if heir is not None:
            self._alone.add(heir.uid)
        return row is not None

    def read(self, piece: Slice) -> ReadPrompts | None:
        """Read a slice and return the rows it finished; raises PromptFailed, with the row forgotten."""
        rows = [self.rows[uid] for uid in piece.uids]
        begun, before = time.perf_counter(), sum(row.prefilled for row in rows)
        cache = None
        try:
            if len(rows) > 1:
                cache = batches.read_side_by_side(self._model, rows)
            else:
                batches.read_slice(self._model, rows[0], _to_next_stop(rows[0], piece.tokens))
                self._alone.add(rows[0].uid)
        except Exception as error:
            self._part(rows, error)
            return None
        self._count(sum(row.prefilled for row in rows) - before, time.perf_counter() - begun)
        if piece.tokens * len(rows) >= CLEAR_TOKENS:
            mx.clear_cache()
        for place, row in enumerate(rows):
            self._reuse.reached(row, functools.partial(_own, row, cache, place))
        if rows[0].to_prefill:
            return None
        following = siblings.followers(rows[0], self.rows.values()) if cache is None else []
        for row in (*following, *rows):
            self.drop(row.uid)
        if cache is not None:
            return ReadPrompts(rows, cache, merged=True)
        return _alone(rows[0], rows[0].cache or [], following)

    def _part(self, rows: list[Sequence], error: Exception) -> None:
        """Of several rows that failed together, find the one to blame by reading each alone.

        A lost device is nobody's fault, and nothing can be read with it again.
        """
        if len(rows) == 1 or limits.is_device_error(error):
            rows[0].cache = None  # nobody is to go on with what is in doubt
            self.drop(rows[0].uid)
            raise PromptFailed(rows[0], error) from error
        log.warning(
            "reading prompts side by side failed, reading each alone rows=%d error=%r",
            len(rows),
            error,
        )
        for row in rows:
            row.start_over()
            row.state = SequenceState.PREFILL
            self._alone.add(row.uid)

    def _count(self, tokens: int, seconds: float) -> None:
        self.tokens_read += tokens
        if tokens < PACE_TOKENS and self.pace is not None:
            return
        pace = tokens / max(seconds, 1e-6)
        self.pace = pace if self.pace is None else (self.pace + pace) / 2


def _alone(row: Sequence, cache: list[Any], following: Iterable[Sequence] = ()) -> ReadPrompts:
    row.cache = None
    for follower in following:
        follower.follows, follower.prefilled = None, row.prefilled
    return ReadPrompts([row, *following], cache, merged=False)


def _own(row: Sequence, shared: list[Any] | None, place: int) -> list[Any]:
    return batches.part(shared, place) if shared is not None else row.cache or []


def _stops_early(row: Sequence) -> bool:
    return bool(row.stops) and row.stops[0].position < len(row.tokens) - 1


def _to_next_stop(row: Sequence, tokens: int) -> int:
    return min(tokens, row.stops[0].position - row.prefilled) if row.stops else tokens
