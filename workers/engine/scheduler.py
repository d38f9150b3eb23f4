"""Decide which waiting rows join and which prompt tokens the next step reads. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

BLOCK = 256
"""Caches grow by this many tokens at a time."""
ALONE = (128, 2048)
"""Fewest and most prompt tokens of one step while nothing decodes."""
SHARED = (64, 512)
"""The same while rows decode: what they wait between two of their tokens."""
ALONE_SECONDS = 1.0
"""How long a step may take while nothing decodes: the time a cancel, a stop or a short newcomer waits."""
SHARED_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class CacheShape:
    """Say what one row's cache weighs: bytes whatever its length, and bytes per token up to a cap."""

    fixed: int = 0
    growing: tuple[tuple[int, int | None], ...] = ()

    def row_bytes(self, tokens: int) -> int:
        """Return the bytes of a row of so many tokens, rounded up as caches are."""
        blocks = -(-max(tokens, 1) // BLOCK) * BLOCK
        return self.fixed + sum(
            size * (blocks if cap is None else min(blocks, cap)) for size, cap in self.growing
        )


@dataclass(frozen=True, slots=True)
class RowView:
    """What planning needs of a row."""

    uid: int
    to_prefill: int
    expected: int
    """Length memory is reserved for."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a batch may hold."""

    max_batch: int
    cache_shape: CacheShape = CacheShape()
    cache_budget: int | None = None
    """Bytes all rows' caches may take; None = not bounded."""
    growth: int = 1024
    """Tokens of an answer that admission reserves memory for; few answers are longer, and most windows far longer."""


@dataclass(frozen=True, slots=True)
class Slice:
    """Prompt tokens to read at once: several whole prompts side by side, or `tokens` of a single one."""

    uids: tuple[int, ...]
    tokens: int


@dataclass(frozen=True, slots=True)
class Plan:
    """How many rows go back to the queue, how many of its head join, and which prompt tokens are read."""

    preempt: tuple[int, ...] = ()
    admit: int = 0
    slices: tuple[Slice, ...] = ()


def expected_length(prompt: int, limit: int, length: int, bounds: Bounds) -> int:
    """Return the length to reserve memory for: what the row has now, or is likely to get."""
    return max(prompt + min(limit, bounds.growth), length + 1)


def weight(rows: int, longest: int, bounds: Bounds) -> int:
    """Return the bytes of a batch: one padded block, so rows x longest row and not the sum of its rows."""
    return rows * bounds.cache_shape.row_bytes(longest)


def is_overgrown(rows: int, longest: int, bounds: Bounds) -> bool:
    """Tell whether so many rows of such a length take more memory than they may; one row alone never does."""
    budget = bounds.cache_budget
    return budget is not None and rows > 1 and weight(rows, longest, bounds) > budget


def preemptions(running: Sequence[RowView], bounds: Bounds) -> tuple[int, ...]:
    """Return the youngest rows that must go back to the queue so that the others may grow."""
    staying = sorted(running, key=lambda row: row.uid)
    leaving = []
    while is_overgrown(len(staying), max((row.expected for row in staying), default=0), bounds):
        leaving.append(staying.pop().uid)
    return tuple(leaving)


def admissions(waiting: Sequence[RowView], running: Sequence[RowView], bounds: Bounds) -> int:
    """Return how many rows of the queue's head may join now.

    First come, first served: a row that does not fit holds back those behind it. A row that fits nowhere runs alone.
    A block of room is left to every row, so that none is sent back right after it joined.
    """
    rows, longest, admitted = len(running), max((row.expected for row in running), default=0), 0
    for row in waiting:
        longest = max(longest, row.expected)
        if rows >= bounds.max_batch or is_overgrown(rows + 1, longest + BLOCK, bounds):
            break
        rows, admitted = rows + 1, admitted + 1
    return admitted


def slice_size(decoding: bool, tokens_per_second: float | None) -> int:
    """Return how many prompt tokens the next step may read.

    Nobody waits between tokens while nothing decodes, so the slice is large then; otherwise it is what can be read in
    `SHARED_SECONDS`, within bounds that neither freeze running streams nor starve the prompt.
    """
    (least, most), seconds = (SHARED, SHARED_SECONDS) if decoding else (ALONE, ALONE_SECONDS)
    if tokens_per_second is None:
        return min(512, most)
    return int(min(max(tokens_per_second * seconds, least), most))


def slices(prompts: Sequence[RowView], started: frozenset[int], budget: int) -> tuple[Slice, ...]:
    """Share the step's budget between prompts, given oldest first; `started` ones cannot be read side by side.

    The oldest always gets at least half, so it never starves; of the rest, those with the least left come first, so
    that a short prompt never waits behind a long one. Whole prompts that fit are read side by side, padded to the
    longest.
    """
    if not prompts:
        return ()
    oldest, *others = prompts
    others.sort(key=lambda row: row.to_prefill)
    half = max(budget // 2, 1)
    together = oldest.uid not in started and oldest.to_prefill <= half
    head = 0 if together else min(oldest.to_prefill, half if others else budget)
    cohort = _side_by_side([oldest] if together else [], others, started, budget - head)
    if cohort:
        width = max(row.to_prefill for row in cohort)
        side = Slice(tuple(row.uid for row in cohort), width)
        if together:
            return (side,)
        return (side, Slice((oldest.uid,), min(oldest.to_prefill, budget - width * len(cohort))))
    chunk = Slice((oldest.uid,), head)
    if not others or budget <= head:
        return (chunk,)
    least = others[0]
    return (chunk, Slice((least.uid,), min(least.to_prefill, budget - head)))


def _side_by_side(
    cohort: list[RowView], others: Sequence[RowView], started: frozenset[int], room: int
) -> list[RowView]:
    width = max((row.to_prefill for row in cohort), default=0)
    for row in others:
        wider = max(width, row.to_prefill)
        if row.uid not in started and (len(cohort) + 1) * wider <= room:
            cohort, width = [*cohort, row], wider
    return cohort


@dataclass(frozen=True, slots=True)
class Queues:
    """What planning looks at, each in order of arrival."""

    waiting: tuple[RowView, ...] = ()
    prefilling: tuple[RowView, ...] = ()
    decoding: tuple[RowView, ...] = ()
    started: frozenset[int] = frozenset()
    """Rows whose prompt was read in part."""


def plan(queues: Queues, bounds: Bounds, tokens_per_second: float | None) -> Plan:
    """Return what the next step does beside decoding one token per row."""
    running = (*queues.prefilling, *queues.decoding)
    preempt = preemptions(running, bounds)
    admit = 0 if preempt else admissions(queues.waiting, running, bounds)
    joined = (*queues.prefilling, *queues.waiting[:admit])
    prompts = [row for row in joined if row.to_prefill > 0 and row.uid not in preempt]
    budget = slice_size(bool(queues.decoding), tokens_per_second)
    return Plan(preempt, admit, slices(prompts, queues.started, budget))
