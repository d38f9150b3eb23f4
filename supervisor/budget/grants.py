"""Divide the budget among the workers: pure arithmetic."""

from collections.abc import Mapping
from dataclasses import dataclass

_CACHE_SHARE = 10
"""One part in so many of a worker's share may be freed buffers that it keeps for reuse."""
_NEVER_WIRED = 8 * 10**9
"""What is left to the rest of the machine; with less, Macs froze (osaurus-ai/vmlx-swift#421)."""


@dataclass(frozen=True, slots=True)
class Claim:
    """Hold what a worker cannot do without, in bytes."""

    weights_bytes: int
    held_bytes: int
    """What it takes or is about to take."""


@dataclass(frozen=True, slots=True)
class Grant:
    """Hold one worker's MLX limits in bytes."""

    memory_bytes: int
    cache_bytes: int
    """How many freed bytes MLX may keep for reuse, beside the others."""


def shares(budget: int, claims: Mapping[str, Claim]) -> dict[str, Grant]:
    """Return each worker's limits: what it claims and an equal part of the rest, in sum no more than the budget."""
    claimed = sum(claim.held_bytes for claim in claims.values())
    found = {}
    for name, claim in claims.items():
        if claimed > budget:  # some grew while nobody new came
            part = claim.held_bytes * budget // claimed
        else:
            part = claim.held_bytes + (budget - claimed) // len(claims)
        cache = min(part // _CACHE_SHARE, max(0, part - claim.weights_bytes) // 2)
        found[name] = Grant(part - cache, cache)
    return found


def wired(weights_bytes: int, recommended: int, others: int) -> int:
    """Return how much a worker may wire where `others` is the sum of all other workers' limits.

    More than a model needs is never wired: MLX programs that wired all the device recommends made Macs freeze.
    """
    return max(0, min(weights_bytes * 13 // 10, recommended - others - _NEVER_WIRED))
