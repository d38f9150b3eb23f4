"""Decide how much memory a worker may take: pure arithmetic on the budget."""

from dataclasses import dataclass

_CACHE_SHARE = 0.10


@dataclass(frozen=True, slots=True)
class Grant:
    """Hold one worker's MLX limits in bytes."""

    memory_bytes: int
    cache_bytes: int
    """How many freed bytes MLX may keep for reuse."""


def budget_bytes(budget: str | int, total: int) -> int:
    """Return the bytes that `memory.budget` (a share such as "75%", or bytes) means on this machine."""
    if isinstance(budget, int):
        return min(budget, total)
    return int(total * float(budget.removesuffix("%")) / 100)


def grant(budget: int) -> Grant:
    """Return a worker's limits: at most the budget, and a tenth of it for the buffer cache."""
    return Grant(memory_bytes=budget, cache_bytes=int(budget * _CACHE_SHARE))
