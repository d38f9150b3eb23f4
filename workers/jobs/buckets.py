"""Choose which rows share a batch: little of it is padding, and nobody waits for somebody else's thousand rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

PADDING: Final = 0.25
"""Part of a batch that may be padding."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """Hold what is left of one job: the lengths of its rows in tokens, by their number."""

    lengths: Sequence[tuple[int, int]]
    """Number and length of each row that is not done, in order."""
    batches: int
    """How many batches had rows of this job."""


@dataclass(frozen=True, slots=True)
class Place:
    """Name a row: which job, and which of its rows."""

    job: int
    row: int


def next_batch(jobs: Sequence[Waiting], *, most_tokens: int, most_rows: int) -> list[Place]:
    """Return the rows of the next batch, at least one.

    The job that was served least comes first, and its first row decides the length of all; rows nearest to that
    length join, whosever they are, while the padded batch stays within `most_tokens` and `PADDING`.
    """
    candidates = [
        (length, Place(index, row)) for index, job in enumerate(jobs) for row, length in job.lengths
    ]
    first = min(
        (index for index, job in enumerate(jobs) if job.lengths), key=lambda i: jobs[i].batches
    )
    row, wanted = jobs[first].lengths[0]
    chosen, longest, total = [Place(first, row)], wanted, wanted
    for length, place in sorted(candidates, key=lambda item: abs(item[0] - wanted)):
        if place == chosen[0]:
            continue
        if len(chosen) >= most_rows:
            break
        size = max(longest, length) * (len(chosen) + 1)
        if size > most_tokens or 1 - (total + length) / size > PADDING:
            break
        chosen.append(place)
        longest, total = max(longest, length), total + length
    return chosen
