"""Keep states in memory under a byte limit, and lend them to new prompts."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from mlxd.workers.prompt_cache import caches
from mlxd.workers.prompt_cache.eviction_order import Kind
from mlxd.workers.prompt_cache.packing import WIDTH, Packed, count, head
from mlxd.workers.prompt_cache.prefix_index import Entry, PrefixIndex
from mlxd.workers.prompt_cache.snapshot import Snapshot
from mlxd.workers.prompt_cache.trunk import Trunk

SHORTEST = 8
"""Fewer tokens are computed sooner than a state is fetched and merged."""
LIVELY = 2
"""Checkpoints of a conversation, before its newest, that are worth as much as those of other conversations."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A cache that holds the first `length` tokens of the prompt; the caller may change it."""

    cache: caches.Cache
    length: int


@dataclass(slots=True, eq=False)
class _Held:
    """What an entry has: part of a trunk, and the leaves, by their place, that no trunk can give."""

    tenant: str
    shape: caches.Shape
    places: int
    trunk: "Trunk[_Kept]"
    own: dict[int, caches.Leaf]
    stale: bool = False
    """Whether newer checkpoints of the conversation make this one not worth the wear of a disk."""

    def leaves(self, length: int) -> list[caches.Leaf]:
        """Return all leaves as they were after so many tokens."""
        return [self._leaf(place, length) for place in range(self.places)]

    def _leaf(self, place: int, length: int) -> caches.Leaf:
        if place in self.trunk:
            return self.trunk.view(place, length)
        leaf = self.own[place]
        return caches.cut(leaf, length) if caches.sliceable(leaf) else caches.share(leaf)


_Kept: TypeAlias = Entry[_Held]


class MemoryTier:
    """Own the states, at most `limit` bytes of them whenever no method runs.

    `wanted` is asked whether an evicted state should be saved; if so, `leaving` gets it.
    """

    def __init__(
        self,
        limit: int,
        *,
        wanted: Callable[[Packed, str], bool] = lambda tokens, tenant: False,
        leaving: Callable[[Snapshot], None] = lambda snapshot: None,
    ) -> None:
        self.limit = limit
        self.evicted = 0
        self._wanted = wanted
        self._leaving = leaving
        self._index: PrefixIndex[_Held] = PrefixIndex()

    @property
    def nbytes(self) -> int:
        """Return the size of all states and their tokens."""
        return self._index.nbytes

    def __len__(self) -> int:
        return len(self._index)

    def match(self, prompt: Packed, tenant: str = "") -> int:
        """Return how many tokens of the prompt a fetch would serve."""
        found = self._index.lookup(head(prompt, count(prompt) - 1), tenant)
        return found.length if found is not None and found.length >= SHORTEST else 0

    def fetch(self, prompt: Packed, tenant: str = "") -> Hit | None:
        """Return the longest known prefix of the prompt, never all of it: the last token has to be fed."""
        found = self._index.lookup(head(prompt, count(prompt) - 1), tenant)
        if found is None or found.length < SHORTEST:
            return None
        entry, held = found.entry, found.entry.value
        if found.length == entry.length:
            # One that was cut stays where it is: what becomes of the part used is stored anew.
            self._index.order.touch(entry)
            held.stale = False
        return Hit(caches.fold(held.shape, held.leaves(found.length)), found.length)

    def store(self, state: Snapshot, *, system: int = 0) -> bool:
        """Keep a state, False if it is larger than the limit.

        `system` is how many tokens the system prompt has: they outlive the rest.
        """
        if state.nbytes + system * WIDTH > self.limit:
            return False
        entry = self._known(state) or self._added(state)
        if entry.trimmable and SHORTEST <= system < entry.length:
            self._mark_system(entry, head(state.tokens, system), state.tenant)
        self.shrink(self.limit, entry)
        return True

    def shrink(self, nbytes: int, spare: _Kept | None = None) -> None:
        """Evict until no more than so many bytes are left."""
        while self.nbytes > max(nbytes, 0):
            victim = self._index.order.victim(self.limit, spare)
            if victim is None:
                return
            self._evict(victim)

    def unsaved(self) -> Iterator[Snapshot]:
        """Lend the states that should be saved and are not, the most valuable first."""
        return self._wanted_of(reversed(self._index.order.victims()))

    def endangered(self, nbytes: int) -> Iterator[Snapshot]:
        """Lend those that would go if so many bytes were left, the first to go first."""
        doomed, left = [], self.nbytes
        for entry in self._index.order.victims():
            if left <= nbytes:
                break
            doomed.append(entry)
            left -= entry.nbytes
        return self._wanted_of(doomed)

    def lends(self, state: Snapshot) -> bool:
        """Tell whether a state that was lent is still here, unmoved."""
        entry = self._index.get(state.tokens, state.tenant)
        return entry is not None and entry.value.trunk.buffers is state.lender

    def _wanted_of(self, entries: Iterable[_Kept]) -> Iterator[Snapshot]:
        for entry in entries:
            tokens, held = self._index.tokens(entry), entry.value
            if not held.stale and self._wanted(tokens, held.tenant):
                yield self._snapshot(entry, tokens)

    def _known(self, state: Snapshot) -> _Kept | None:
        """Return the entry that can already do what this state can, freshened."""
        entry = self._index.get(state.tokens, state.tenant)
        if entry is None and state.trimmable:
            entry = self._index.covering(state.tokens, state.tenant)
        if entry is None:
            return None
        self._index.order.touch(entry)
        if state.kind is Kind.SYSTEM:
            if entry.length == count(state.tokens):
                self._index.order.relabel(entry, Kind.SYSTEM)
            else:
                self._mark_system(entry, state.tokens, state.tenant)
        return entry

    def _added(self, state: Snapshot) -> _Kept:
        ancestors = self._index.prefixes(state.tokens, state.tenant)
        shared = {place: leaf for place, leaf in enumerate(state.leaves) if caches.sliceable(leaf)}
        rest = {
            place: caches.own(leaf)
            for place, leaf in enumerate(state.leaves)
            if place not in shared
        }
        trunk: Trunk[_Kept] = Trunk(shared, count(state.tokens))
        held = _Held(state.tenant, state.shape, len(state.leaves), trunk, rest)
        entry = self._insert(state.tokens, held, state.kind, state.trimmable)
        for ancestor in ancestors:
            self._settle(ancestor, entry)
        self._age(self._index.prefixes(state.tokens, state.tenant))
        # Evict before the copies are made, so that they never stand beside what they push out.
        self.shrink(self.limit, entry)
        caches.start([*trunk.leaves, *rest.values()])
        return entry

    def _insert(self, tokens: Packed, held: _Held, kind: Kind, trimmable: bool) -> _Kept:
        entry = self._index.add(
            tokens, held, nbytes=0, kind=kind, trimmable=trimmable, tenant=held.tenant
        )
        held.trunk.join(entry, entry.length)
        self._charge(held.trunk)
        return entry

    def _mark_system(self, entry: _Kept, tokens: Packed, tenant: str) -> None:
        """Let the system prompt at the head of a trimmable entry outlive it."""
        known = self._index.get(tokens, tenant)
        if known is not None:
            self._index.order.relabel(known, Kind.SYSTEM)
            return
        held = entry.value
        own = {
            place: caches.own(caches.cut(leaf, count(tokens))) for place, leaf in held.own.items()
        }
        mark = _Held(tenant, held.shape, held.places, held.trunk, own)
        self._insert(tokens, mark, Kind.SYSTEM, trimmable=True)
        caches.start(list(own.values()))

    def _settle(self, ancestor: _Kept, entry: _Kept) -> None:
        """Drop what the longer entry replaces, or let it share the longer one's trunk."""
        if ancestor.trimmable and entry.trimmable and ancestor.kind is not Kind.SYSTEM:
            self._drop(ancestor)
            return
        held, trunk = ancestor.value, entry.value.trunk
        own = {}
        for place in range(held.places):
            leaf = held.own.get(place)
            if place in trunk and (leaf is None or caches.sliceable(leaf)):
                continue
            if leaf is None:
                leaf = caches.own(held.trunk.view(place, ancestor.length))
            own[place] = leaf
        caches.start(list(own.values()))
        before, held.own, held.trunk = held.trunk, own, trunk
        before.leave(ancestor)
        trunk.join(ancestor, ancestor.length)
        self._charge(before)
        self._charge(trunk)

    def _age(self, ancestors: list[_Kept]) -> None:
        """Freshen the system prompts of a conversation and let its old checkpoints go first."""
        plain = [ancestor for ancestor in ancestors if ancestor.kind is not Kind.SYSTEM]
        for ancestor in ancestors:
            if ancestor.kind is Kind.SYSTEM:
                self._index.order.touch(ancestor)
        for ancestor in plain[: max(len(plain) - LIVELY, 0)]:
            ancestor.value.stale = True
            self._index.order.demote(ancestor)

    def _evict(self, entry: _Kept) -> None:
        tokens, held = self._index.tokens(entry), entry.value
        snapshot = None
        if not held.stale and self._wanted(tokens, held.tenant):
            snapshot = self._snapshot(entry, tokens)
            if held.trunk.payer() is not entry:
                # The trunk stays with a longer user: what leaves takes a copy, not the whole trunk, along.
                snapshot.leaves[:] = map(caches.own, snapshot.leaves)
                caches.start(snapshot.leaves)
        self._drop(entry)
        self.evicted += 1
        if snapshot is not None:
            self._leaving(snapshot)

    def _drop(self, entry: _Kept) -> None:
        self._index.remove(entry)
        entry.value.trunk.leave(entry)
        self._charge(entry.value.trunk)

    def _snapshot(self, entry: _Kept, tokens: Packed) -> Snapshot:
        held = entry.value
        leaves = held.leaves(entry.length)
        return Snapshot(
            tokens, held.tenant, entry.kind, held.shape, leaves, entry.trimmable, held.trunk.buffers
        )

    def _charge(self, trunk: Trunk[_Kept]) -> None:
        """Put a trunk's bytes on the entry that pays for it."""
        payer = trunk.payer()
        for entry in trunk.users:
            own = sum(map(caches.nbytes, entry.value.own.values())) + entry.length * WIDTH
            self._index.order.resize(entry, own + (trunk.nbytes if entry is payer else 0))
