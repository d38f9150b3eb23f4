"""Hold what bounds a pool of workers."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Say how many and how long; a reload may change it."""

    max_loaded: int
    max_queue: int
    """Requests per model that may wait or run beyond its batch."""
    max_swap_wait: float
