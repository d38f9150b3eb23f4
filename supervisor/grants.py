"""Decide how much memory a worker may take: pure arithmetic on the budget."""

from dataclasses import dataclass

_CACHE_SHARE = 0.10


@dataclass(frozen=True, slots=True)
class Grant:
    """Hold one worker's MLX limits in bytes."""

    memory_bytes: int
    cache_bytes: int
    """How many freed bytes MLX may keep for reuse."""


def grant(budget: int) -> Grant:
    """Return a worker's limits: at most the budget, and a tenth of it for the buffer cache."""
    return Grant(memory_bytes=budget, cache_bytes=int(budget * _CACHE_SHARE))
