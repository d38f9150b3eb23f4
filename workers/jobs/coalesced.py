"""Answer jobs whose ask is a list of rows: rows of all jobs share batches of like length."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Generic, Protocol, TypeVar

from mlxd.workers.jobs import buckets
from mlxd.workers.jobs.job import Job

MOST_TOKENS: Final = 16_384
"""Padded tokens of a batch, which bound its memory."""
MOST_ROWS: Final = 256


class Sized(Protocol):
    """What is known of a row here: how many tokens it has."""

    def __len__(self) -> int:
        """Return the number of tokens."""
        ...


Row = TypeVar("Row", bound=Sized)
Result = TypeVar("Result")


@dataclass(slots=True)
class _Progress:
    left: dict[int, int]
    batches: int = 0
    results: dict[int, object] = field(default_factory=dict)


class Coalesced(Generic[Row, Result]):
    """Run `compute(rows)` for batches of rows; a job's only part is the list of its results, in order."""

    def __init__(
        self,
        compute: Callable[[Sequence[Row]], Sequence[Result]],
        *,
        most_tokens: int = MOST_TOKENS,
        most_rows: int = MOST_ROWS,
    ) -> None:
        self._compute = compute
        self._most_tokens = most_tokens
        self._most_rows = most_rows
        self._progress: dict[int, _Progress] = {}
        self._batch: list[buckets.Place] = []

    def choose(
        self, jobs: Sequence[Job[Sequence[Row], list[Result]]]
    ) -> Sequence[Job[Sequence[Row], list[Result]]]:
        """Return the jobs that have rows in the next batch."""
        for job in jobs:
            if job.uid not in self._progress:
                left = {number: len(row) for number, row in enumerate(job.ask)}
                self._progress[job.uid] = _Progress(left)
        waiting = [self._waiting(job) for job in jobs]
        self._batch = buckets.next_batch(
            waiting, most_tokens=self._most_tokens, most_rows=self._most_rows
        )
        chosen = sorted({place.job for place in self._batch})
        order = {job: number for number, job in enumerate(chosen)}
        self._batch = [buckets.Place(order[place.job], place.row) for place in self._batch]
        return [jobs[number] for number in chosen]

    def _waiting(self, job: Job[Sequence[Row], list[Result]]) -> buckets.Waiting:
        progress = self._progress[job.uid]
        return buckets.Waiting(list(progress.left.items()), progress.batches)

    def work(self, jobs: Sequence[Job[Sequence[Row], list[Result]]]) -> int:
        """Compute the batch, and finish the jobs it completes."""
        rows = [jobs[place.job].ask[place.row] for place in self._batch]
        for place, result in zip(self._batch, self._compute(rows), strict=True):
            progress = self._progress[jobs[place.job].uid]
            del progress.left[place.row]
            progress.results[place.row] = result
        for job in jobs:
            progress = self._progress[job.uid]
            progress.batches += 1
            if not progress.left:
                results = progress.results
                job.finish([results[number] for number in range(len(job.ask))])  # type: ignore[misc]
        return sum(len(row) for row in rows)

    def drop(self, job: Job[Sequence[Row], list[Result]]) -> None:
        """Forget a job that ends."""
        self._progress.pop(job.uid, None)

    def shrink(self) -> None:
        """Have nothing to give back."""
