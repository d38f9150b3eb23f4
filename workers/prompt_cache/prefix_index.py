"""Find the longest known prefix of a token sequence, in time linear in the sequence.

A radix tree: each node holds a run of tokens, so a conversation of 64k tokens is a handful of nodes, not 64k
dictionaries, and a look-up compares memory instead of walking token by token.
"""

from dataclasses import dataclass, field
from typing import Generic, TypeVar

from mlxd.workers.prompt_cache.eviction_order import EvictionOrder, Kind
from mlxd.workers.prompt_cache.packing import WIDTH, Packed, count, shared

T = TypeVar("T")


@dataclass(slots=True, eq=False)
class Entry(Generic[T]):
    """One known token sequence and what is kept for it."""

    value: T
    length: int
    """Tokens covered."""
    nbytes: int
    kind: Kind
    trimmable: bool
    """Whether the value serves every prefix of the sequence; else only the sequence itself."""
    node: "_Node[T]" = field(repr=False)


@dataclass(frozen=True, slots=True)
class Match(Generic[T]):
    """Say which entry serves how many tokens of a prompt."""

    entry: Entry[T]
    length: int


@dataclass(slots=True, eq=False)
class _Node(Generic[T]):
    run: bytes
    parent: "_Node[T] | None"
    children: dict[bytes, "_Node[T]"] = field(default_factory=dict)
    entry: Entry[T] | None = None
    trimmable: int = 0
    """How many trimmable entries are here and below."""


@dataclass(frozen=True, slots=True)
class _Walk(Generic[T]):
    passed: list[tuple[_Node[T], int]]
    """The nodes whose runs the tokens hold in full, the root first, with the byte each ends at."""
    partial: _Node[T] | None
    """The node in whose run the tokens end or part from it."""
    reached: int
    """Bytes shared with anything known."""


class PrefixIndex(Generic[T]):
    """Map token sequences to entries, apart for each tenant, in order of their last use."""

    def __init__(self) -> None:
        self.order: EvictionOrder[Entry[T]] = EvictionOrder()
        self._roots: dict[str, _Node[T]] = {}

    def __len__(self) -> int:
        return len(self.order)

    @property
    def nbytes(self) -> int:
        """Return the size of all entries."""
        return self.order.nbytes

    def lookup(self, tokens: Packed, tenant: str = "") -> Match[T] | None:
        """Return the entry that serves the longest prefix of the tokens, all of them included."""
        walk = self._walk(tokens, tenant)
        if walk.partial is not None and walk.partial.trimmable:
            return Match(_trimmable_below(walk.partial), walk.reached // WIDTH)
        for node, end in reversed(walk.passed[1:]):
            # An entry right here is not farther from the tokens than one below, which must be cut down.
            if node.entry is not None:
                return Match(node.entry, end // WIDTH)
            if node.trimmable:
                return Match(_trimmable_below(node), end // WIDTH)
        return None

    def get(self, tokens: Packed, tenant: str = "") -> Entry[T] | None:
        """Return the entry of exactly these tokens."""
        walk = self._walk(tokens, tenant)
        node, end = walk.passed[-1]
        return node.entry if end == len(tokens) else None

    def covering(self, tokens: Packed, tenant: str = "") -> Entry[T] | None:
        """Return a trimmable entry that starts with all of these tokens."""
        walk = self._walk(tokens, tenant)
        node = walk.partial or walk.passed[-1][0]
        if walk.reached < len(tokens) or not node.trimmable:
            return None
        return _trimmable_below(node)

    def prefixes(self, tokens: Packed, tenant: str = "") -> list[Entry[T]]:
        """Return the entries whose sequences are proper prefixes of the tokens, the shortest first."""
        passed = self._walk(tokens, tenant).passed
        return [node.entry for node, end in passed if node.entry is not None and end < len(tokens)]

    def add(
        self,
        tokens: Packed,
        value: T,
        *,
        nbytes: int,
        kind: Kind,
        trimmable: bool,
        tenant: str = "",
    ) -> Entry[T]:
        """Take in an entry as the last used; these tokens must have none yet."""
        node = self._reach(tokens, tenant)
        if node.entry is not None:
            raise ValueError("these tokens have an entry already")
        node.entry = Entry(value, count(tokens), nbytes, kind, trimmable, node)
        _count_up(node, int(trimmable))
        self.order.add(node.entry)
        return node.entry

    def remove(self, entry: Entry[T]) -> None:
        """Forget an entry, and the runs that led to it alone."""
        node = entry.node
        node.entry = None
        _count_up(node, -int(entry.trimmable))
        self.order.remove(entry)
        while node.parent is not None and node.entry is None and not node.children:
            del node.parent.children[node.run[:WIDTH]]
            node = node.parent
        if node.parent is not None and node.entry is None and len(node.children) == 1:
            _merge_with_child(node)

    def tokens(self, entry: Entry[T]) -> Packed:
        """Return the sequence of an entry."""
        runs: list[bytes] = []
        node: _Node[T] | None = entry.node
        while node is not None:
            runs.append(node.run)
            node = node.parent
        return Packed(b"".join(reversed(runs)))

    def _walk(self, tokens: Packed, tenant: str) -> _Walk[T]:
        node, at = self._roots.get(tenant) or _Node(b"", None), 0
        passed = [(node, 0)]
        while (child := node.children.get(tokens[at : at + WIDTH])) is not None:
            same = shared(child.run, tokens, at)
            at += same
            if same < len(child.run):
                return _Walk(passed, child, at)
            node = child
            passed.append((node, at))
        return _Walk(passed, None, at)

    def _reach(self, tokens: Packed, tenant: str) -> _Node[T]:
        self._roots.setdefault(tenant, _Node(b"", None))
        walk = self._walk(tokens, tenant)
        node, end = walk.passed[-1]
        if walk.partial is not None:
            node = _split(walk.partial, walk.reached - end)
        if walk.reached < len(tokens):
            leaf = _Node(tokens[walk.reached :], node)
            node.children[leaf.run[:WIDTH]] = leaf
            node = leaf
        return node


def _trimmable_below(node: _Node[T]) -> Entry[T]:
    while node.entry is None or not node.entry.trimmable:
        node = next(child for child in node.children.values() if child.trimmable)
    return node.entry


def _count_up(node: _Node[T] | None, change: int) -> None:
    while node is not None:
        node.trimmable += change
        node = node.parent


def _split(node: _Node[T], at: int) -> _Node[T]:
    """Put a node between this one and its parent, and return it."""
    upper: _Node[T] = _Node(node.run[:at], node.parent, trimmable=node.trimmable)
    assert node.parent is not None, "the root has no run to split"
    node.parent.children[upper.run[:WIDTH]] = upper
    node.run, node.parent = node.run[at:], upper
    upper.children[node.run[:WIDTH]] = node
    return upper


def _merge_with_child(node: _Node[T]) -> None:
    """Let the only child take this node's place."""
    (child,) = node.children.values()
    assert node.parent is not None, "the root stays"
    child.run, child.parent = node.run + child.run, node.parent
    child.parent.children[child.run[:WIDTH]] = child
