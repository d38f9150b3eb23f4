"""Pass a kept state from one tier to the other."""

from dataclasses import dataclass

from mlxd.workers.prompt_cache import caches
from mlxd.workers.prompt_cache.eviction_order import Kind
from mlxd.workers.prompt_cache.packing import Packed


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """The state after `tokens`, complete in itself."""

    tokens: Packed
    tenant: str
    kind: Kind
    shape: caches.Shape
    leaves: list[caches.Leaf]
    trimmable: bool
    lender: object | None = None
    """What must stay as it is as long as memory pays for these leaves; None: they are this snapshot's own."""

    @property
    def nbytes(self) -> int:
        """Return the size of state and tokens."""
        return sum(map(caches.nbytes, self.leaves)) + len(self.tokens)

    @classmethod
    def take(
        cls, tokens: Packed, cache: caches.Cache, kind: Kind, tenant: str = ""
    ) -> "Snapshot | None":
        """Return the state of a cache that holds exactly these tokens, None if it does not or is not understood."""
        shape, leaves = caches.unfold(cache)
        length = len(tokens) // 4
        if not length or not leaves or not all(map(caches.known, leaves)):
            return None
        if any(caches.covered(leaf) not in (None, length) for leaf in leaves):
            return None
        if all(leaf.empty() for leaf in leaves):
            return None
        leaves = [caches.tight(leaf) for leaf in leaves]
        return cls(tokens, tenant, kind, shape, leaves, all(map(caches.sliceable, leaves)))
