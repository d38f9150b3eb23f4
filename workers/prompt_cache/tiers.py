"""Keep the states of prompts in memory and on disk: what the engine's loop talks to, on its own thread."""

from collections.abc import Callable, Sequence
from weakref import WeakValueDictionary

from mlxd.workers.prompt_cache import caches
from mlxd.workers.prompt_cache.disk_tier import DiskTier, Filed
from mlxd.workers.prompt_cache.eviction_order import Kind
from mlxd.workers.prompt_cache.memory_tier import SHORTEST, Hit, MemoryTier
from mlxd.workers.prompt_cache.packing import Packed, head, pack
from mlxd.workers.prompt_cache.snapshot import Snapshot
from mlxd.workers.prompt_cache.stats import CacheStats
from mlxd.workers.prompt_cache.stepwise import Stepwise
from mlxd.workers.prompt_cache.write_behind import WriteBehind

READ_GAIN = 16
"""How many tokens are read from disk in the time of computing one, at the least."""
SPILL_SHARE = 4
"""One part in so many of the memory is for evicted states that wait for the disk."""


class Restore:
    """Bring one state from disk back to memory; let go of it to give it up."""

    def __init__(
        self,
        reading: Stepwise[Snapshot | None],
        nbytes: int,
        make_room: Callable[[int, float], bool],
        keep: Callable[[Snapshot], object],
    ) -> None:
        self.held = 0
        """Bytes of memory set apart for this."""
        self._nbytes = nbytes
        self._reading = reading
        self._make_room = make_room
        self._keep = keep

    @property
    def done(self) -> bool:
        """Tell whether a fetch now finds all it will find."""
        return self._reading.done

    def step(self, seconds: float) -> bool:
        """Work for about so long; True when done. A bad file is a miss: it is done too."""
        if self.done:
            return True
        if not self.held:
            if not self._make_room(self._nbytes, seconds):
                return False
            self.held = self._nbytes
        if self._reading.run(seconds):
            self.held = 0
            if self._reading.result is not None:
                self._keep(self._reading.result)
                self._reading.result = None
        return self.done


class PromptCache:
    """Lend the state of the longest known prefix of a prompt, and remember new ones.

    `limit` bounds the bytes in memory, what waits to be written and what is being read included.
    """

    def __init__(self, limit: int, disk: DiskTier | None = None) -> None:
        self.limit = limit
        self._disk = disk
        self._memory = MemoryTier(
            _for_entries(limit, disk),
            wanted=self._lacking,
            leaving=self._spill,
        )
        self._writer = WriteBehind(disk) if disk is not None else None
        self._restores: WeakValueDictionary[str, Restore] = WeakValueDictionary()
        self._hits = self._misses = self._hit_tokens = self._stored = self._refused = 0

    @property
    def nbytes(self) -> int:
        """Return the bytes of all states in memory."""
        return self._memory.nbytes + self._waiting_bytes() + self._restoring_bytes()

    def fetch(self, prompt: Sequence[int], tenant: str = "") -> Hit | None:
        """Return the state of the longest prefix in memory; never of the whole prompt."""
        tokens = pack(prompt)
        hit = self._memory.fetch(tokens, tenant)
        if hit is None:
            self._misses += 1
            return None
        self._hits += 1
        self._hit_tokens += hit.length
        if self._disk is not None:
            self._disk.touch(head(tokens, hit.length), tenant)
        return hit

    def restore(self, prompt: Sequence[int], tenant: str = "") -> Restore | None:
        """Begin to read a state that is on disk and serves enough more of the prompt than memory does."""
        if self._disk is None:
            return None
        tokens = pack(prompt)
        found = self._disk.match(tokens, tenant)
        if found is None or found.length < SHORTEST:
            return None
        gain = found.length - self._memory.match(tokens, tenant)
        if gain * READ_GAIN < found.entry.length or gain <= 0:
            return None
        running = self._restores.get(found.entry.value)
        if running is not None and not running.done:
            return running
        return self._reading(self._disk, found.entry)

    def store(
        self,
        tokens: Sequence[int],
        cache: caches.Cache,
        kind: Kind,
        *,
        tenant: str = "",
        system: int = 0,
    ) -> bool:
        """Remember the state of a cache that holds exactly these tokens; the caller may go on changing it.

        `system` is where the system prompt at the head of the tokens ends: it outlives the rest.
        """
        state = Snapshot.take(pack(tokens), cache, kind, tenant)
        if state is None or not self._keep(state, system):
            self._refused += 1
            return False
        self._stored += 1
        return True

    def flush(self, seconds: float, *, everything: bool = False) -> bool:
        """Write to disk for about so long: what was evicted and what soon will be, or `everything`.

        True when nothing is left to write. Each call does at least one piece. What a conversation outgrows is never
        written unless it is asked for while it is the newest: ask for everything when there is nothing else to do.
        """
        if self._writer is None:
            return True
        memory = self._memory
        lent = memory.unsaved() if everything else memory.endangered(memory.limit // 2)
        return self._writer.run(seconds, lent)

    def resize(self, limit: int) -> None:
        """Keep no more than so many bytes in memory from now on."""
        self.limit = limit
        self._memory.limit = _for_entries(limit, self._disk)
        self._memory.shrink(self._memory.limit)
        self._fit()

    def release(self) -> None:
        """Let all states go that are in memory: at once what is on disk too, the rest when a flush has written it."""
        self._memory.shrink(0)
        self._fit()

    def stats(self) -> CacheStats:
        """Return what is held and was done."""
        return CacheStats(
            entries=len(self._memory),
            bytes=self.nbytes,
            limit=self.limit,
            hits=self._hits,
            misses=self._misses,
            hit_tokens=self._hit_tokens,
            stored=self._stored,
            evicted=self._memory.evicted,
            refused=self._refused,
            dropped=self._writer.dropped if self._writer is not None else 0,
            disk=self._disk.stats() if self._disk is not None else None,
        )

    def _reading(self, disk: DiskTier, entry: Filed) -> Restore | None:
        if entry.nbytes > self._memory.limit:
            return None
        restore = Restore(disk.read(entry), entry.nbytes, self._make_room, self._keep)
        self._restores[entry.value] = restore
        return restore

    def _make_room(self, nbytes: int, seconds: float) -> bool:
        """Work towards so many free bytes: what is evicted for them is written before it is let go."""
        self._memory.shrink(self.limit - self._restoring_bytes() - nbytes)
        self._fit()
        if self.nbytes + nbytes > self.limit and self._writer is not None:
            self._writer.run(seconds, iter(()))
        return self.nbytes + nbytes <= self.limit

    def _keep(self, state: Snapshot, system: int = 0) -> bool:
        kept = self._memory.store(state, system=system)
        self._fit()
        return kept

    def _fit(self) -> None:
        """Keep all bytes within the limit: rather lose what could not be written in time than what memory holds."""
        self._check()
        while self.nbytes > self.limit:
            if self._writer is not None and self._writer.nbytes:
                self._writer.drop()
            elif len(self._memory):
                self._memory.shrink(self.limit - self._restoring_bytes())
                self._check()
            else:
                return

    def _check(self) -> None:
        if self._writer is not None:
            self._writer.check(self._memory.lends)

    def _lacking(self, tokens: Packed, tenant: str) -> bool:
        return self._disk is not None and self._disk.lacks(tokens, tenant)

    def _spill(self, state: Snapshot) -> None:
        if self._writer is not None:
            self._writer.put(state)

    def _waiting_bytes(self) -> int:
        return self._writer.nbytes if self._writer is not None else 0

    def _restoring_bytes(self) -> int:
        return sum(restore.held for restore in self._restores.values())


def _for_entries(limit: int, disk: DiskTier | None) -> int:
    return limit if disk is None else limit - limit // SPILL_SHARE
