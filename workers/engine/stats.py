"""Count what the batch does; the engine thread writes, anybody reads."""

import time
from dataclasses import dataclass

import msgspec

from mlxd.protocol.timing import Histogram
from mlxd.workers.prompt_cache.stats import CacheStats

WINDOW = 5.0
"""Seconds over which speed is measured."""
MEMORY_SECONDS = 0.2
"""How long readings of memory stay good under load; taking them costs more than counting."""


class BatchStats(msgspec.Struct, frozen=True, kw_only=True):
    """Answer `GET /v1/batch/stats` of one worker: counts as of the last step, speed as of now."""

    waiting: int = 0
    prefill: int = 0
    decode: int = 0
    max_batch: int = 0
    steps: int = 0
    prompt_tokens: int = 0
    """Read by the model; what a prompt cache spares is not counted."""
    generated_tokens: int = 0
    finished: int = 0
    cancelled: int = 0
    failed: int = 0
    preempted: int = 0
    """Times a row was sent back to the queue because the others had no room to grow."""
    speculated: int = 0
    """Tokens guessed ahead for a row that ran alone."""
    accepted: int = 0
    """Those of them that came true."""
    generation_tokens_per_second: float = 0.0
    cache_bytes: int = 0
    """Key-value caches of the rows at work."""
    prompt_cache_bytes: int = 0
    """States of prompts kept for later requests."""
    prompt_cache: CacheStats | None = None
    """None where nothing is kept."""
    active_memory_bytes: int = 0
    cache_memory_bytes: int = 0
    """Freed buffers that MLX keeps for later."""
    peak_memory_bytes: int = 0
    wired_limit_bytes: int = 0
    first_token_seconds: Histogram | None = None
    """From a row's submission to its first token; None, as below, where nothing writes text."""
    inter_token_seconds: Histogram | None = None


class Speed(msgspec.Struct, frozen=True):
    """Hold the tokens of the last seconds, one entry per second; a value, so that any thread may read it."""

    entries: tuple[tuple[float, int], ...] = ()

    def plus(self, tokens: int, now: float) -> "Speed":
        """Return the speed after so many more tokens."""
        if self.entries and now - self.entries[-1][0] < 1:
            begun, before = self.entries[-1]
            return Speed((*self.entries[:-1], (begun, before + tokens)))
        kept = tuple(entry for entry in self.entries if entry[0] > now - WINDOW)
        return Speed((*kept, (now, tokens)))

    def at(self, now: float) -> float:
        """Return tokens per second over the window that ends now; it falls to zero when nothing more comes."""
        kept = [entry for entry in self.entries if entry[0] > now - WINDOW]
        if not kept:
            return 0.0
        return sum(tokens for _, tokens in kept) / max(now - kept[0][0], 0.1)


@dataclass(slots=True)
class Counters:
    """Hold the engine thread's own counts."""

    max_batch: int
    waiting: int = 0
    prefill: int = 0
    decode: int = 0
    steps: int = 0
    prompt_tokens: int = 0
    generated_tokens: int = 0
    finished: int = 0
    cancelled: int = 0
    failed: int = 0
    preempted: int = 0
    speculated: int = 0
    accepted: int = 0
    cache_bytes: int = 0
    prompt_cache_bytes: int = 0
    prompt_cache: CacheStats | None = None
    active_memory_bytes: int = 0
    cache_memory_bytes: int = 0
    peak_memory_bytes: int = 0
    wired_limit_bytes: int = 0
    speed: Speed = Speed()
    memory_read_at: float = 0.0

    def count_generated(self, tokens: int, finished: int, now: float) -> None:
        """Count the tokens of a step and the rows they ended."""
        self.generated_tokens += tokens
        self.finished += finished
        if tokens:
            self.speed = self.speed.plus(tokens, now)

    def memory_is_old(self, now: float) -> bool:
        """Tell whether memory is to be read again, and count on it being done."""
        if now - self.memory_read_at < MEMORY_SECONDS:
            return False
        self.memory_read_at = now
        return True

    def show_prompt_cache(self, stats: CacheStats | None) -> None:
        """Take over what the prompt cache counts by itself."""
        self.prompt_cache = stats
        self.prompt_cache_bytes = stats.bytes if stats is not None else 0

    def show_speculation(self, speculated: int, accepted: int) -> None:
        """Take over how many tokens were guessed, and how many of them came true."""
        self.speculated, self.accepted = speculated, accepted

    def snapshot(self) -> BatchStats:
        """Return the counts as a value."""
        return BatchStats(**{name: getattr(self, name) for name in _SHARED})


_ADDED_LATER = ("generation_tokens_per_second", "first_token_seconds", "inter_token_seconds")
"""What whoever answers knows, and the engine thread does not."""
_SHARED = tuple(name for name in BatchStats.__struct_fields__ if name not in _ADDED_LATER)


class Board:
    """Hold the last published counts."""

    def __init__(self, max_batch: int) -> None:
        self._shown = BatchStats(max_batch=max_batch), Speed()

    def publish(self, stats: BatchStats, speed: Speed) -> None:
        """Replace the counts; called on the engine thread."""
        self._shown = stats, speed

    def read(self) -> BatchStats:
        """Return the counts as of the last step; never waits."""
        stats, speed = self._shown
        now = time.monotonic()
        return msgspec.structs.replace(stats, generation_tokens_per_second=speed.at(now))
