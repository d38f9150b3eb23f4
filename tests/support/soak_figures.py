"""Measure a daemon and its workers now and then, and tell whether they grow."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import psutil

MB = 1 << 20


@dataclass(frozen=True)
class Sample:
    """Hold what was seen at one moment."""

    minute: float
    resident: int
    """Bytes of the supervisor."""
    descriptors: int
    threads: int
    workers: dict[int, int] = field(default_factory=dict)
    """Footprint by pid."""

    def line(self) -> str:
        """Return it as a line of a table."""
        total = sum(self.workers.values()) / MB
        return (
            f"{self.minute:6.1f} {self.resident / MB:9.1f} {self.descriptors:6d} {self.threads:8d} "
            f"{len(self.workers):8d} {total:11.1f}"
        )


HEADER = "minute     RSS MB  files  threads  workers  workers MB"


def take(pid: int, began: float, workers: dict[int, int]) -> Sample:
    """Look at the supervisor."""
    process = psutil.Process(pid)
    with process.oneshot():
        return Sample(
            minute=(time.monotonic() - began) / 60,
            resident=process.memory_info().rss,
            descriptors=process.num_fds(),
            threads=process.num_threads(),
            workers=workers,
        )


def slope(points: Sequence[tuple[float, float]]) -> float:
    """Return the rise per unit of the line that fits best."""
    if len(points) < 2:
        return 0.0
    mean_x = sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / len(points)
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / spread if spread else 0.0


def second_half(samples: Sequence[Sample]) -> Sequence[Sample]:
    """Return what was seen once everything had been there for a while."""
    return samples[len(samples) // 2 :]


def growth(samples: Sequence[Sample]) -> float:
    """Return by how many bytes the supervisor grew over the second half, by the line that fits best."""
    half = second_half(samples)
    return slope([(s.minute, s.resident) for s in half]) * (half[-1].minute - half[0].minute)


def worker_growth(samples: Sequence[Sample]) -> dict[int, float]:
    """Return the same of every worker that was there for all of the second half."""
    half = second_half(samples)
    lasting = set.intersection(*(set(s.workers) for s in half))
    span = half[-1].minute - half[0].minute
    return {pid: slope([(s.minute, s.workers[pid]) for s in half]) * span for pid in lasting}
