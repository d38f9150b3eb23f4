"""Write evicted states to disk, a little at a time, and hold them until then."""

import time
from collections import deque
from collections.abc import Callable, Iterator

from mlxd.workers.prompt_cache.disk_tier import DiskTier
from mlxd.workers.prompt_cache.snapshot import Snapshot
from mlxd.workers.prompt_cache.stepwise import Stepwise


class WriteBehind:
    """Own what was evicted and not yet written; when that is done, write what is lent from memory."""

    def __init__(self, disk: DiskTier) -> None:
        self.dropped = 0
        self._disk = disk
        self._waiting: deque[Snapshot] = deque()
        self._current: Stepwise[bool] | None = None
        # The state being written, by who holds it.
        self._own: Snapshot | None = None
        self._lent: Snapshot | None = None

    @property
    def nbytes(self) -> int:
        """Return the size of the states held here."""
        own = self._own.nbytes if self._own is not None else 0
        return own + sum(state.nbytes for state in self._waiting)

    def put(self, state: Snapshot) -> None:
        """Take over an evicted state."""
        self._waiting.append(state)

    def check(self, lends: Callable[[Snapshot], bool]) -> None:
        """Stop writing what is lent if memory has moved it: its bytes would be nobody's."""
        if self._lent is not None and not lends(self._lent) and self._current is not None:
            self._current.stop()
            self._current = self._lent = None

    def drop(self) -> None:
        """Give up the oldest state held here."""
        self.dropped += 1
        if self._waiting:
            self._waiting.popleft()
        elif self._own is not None and self._current is not None:
            self._current.stop()
            self._current = self._own = None

    def run(self, seconds: float, lent: Iterator[Snapshot]) -> bool:
        """Write for about so long, first what is held here; True when nothing is left."""
        deadline = time.perf_counter() + seconds
        while self._current is not None or self._take(lent):
            assert self._current is not None, "just taken"
            if not self._current.run(deadline - time.perf_counter()):
                return False
            self._current = self._own = self._lent = None
        return True

    def _take(self, lent: Iterator[Snapshot]) -> bool:
        while self._waiting:
            state = self._waiting.popleft()
            if self._disk.lacks(state.tokens, state.tenant):
                self._own, self._current = state, self._disk.write(state)
                return True
        for state in lent:
            if self._disk.lacks(state.tokens, state.tenant):
                self._lent, self._current = state, self._disk.write(state)
                return True
        return False
