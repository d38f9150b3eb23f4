"""Reckon what a benchmark found: medians and how far the samples lie apart."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """Hold one thing that was measured, several times."""

    name: str
    unit: str
    samples: list[float]
    """In the order in which they were taken."""
    median: float
    low: float
    high: float


class Findings(msgspec.Struct, frozen=True, kw_only=True):
    """Hold all that a benchmark found of one model, and under which conditions."""

    model: str
    kind: str
    runs: int
    conditions: dict[str, int]
    load_seconds: float
    """Zero where the model was there already."""
    figures: list[Figure]
    notes: list[str]


@dataclass(slots=True)
class Timed:
    """Follow one streamed answer by the clock."""

    began: float
    first: float | None = None
    last: float | None = None
    prompt: int = 0
    cached: int = 0
    generated: int = 0

    def heard(self, now: float, *, is_text: bool) -> None:
        """Take the arrival of some text, or of what ends the answer: the last tokens need not have a text."""
        if is_text and self.first is None:
            self.first = now
        self.last = now

    @property
    def first_token_seconds(self) -> float | None:
        """Return the time from asking to the first text; None where none came."""
        return None if self.first is None else self.first - self.began

    @property
    def prompt_speed(self) -> float | None:
        """Return the tokens per second at which what was not remembered was read."""
        seconds = self.first_token_seconds
        return None if not seconds else (self.prompt - self.cached) / seconds

    @property
    def speed(self) -> float | None:
        """Return the tokens per second after the first one."""
        return together([self])


def together(answers: Sequence[Timed]) -> float | None:
    """Return the tokens per second of answers that ran side by side, from the first text of any to the last.

    The first token of each is left out: it is what reading the prompt ended with.
    """
    begins = [one.first for one in answers if one.first is not None]
    ends = [one.last for one in answers if one.last is not None]
    tokens = sum(max(0, one.generated - 1) for one in answers)
    if not begins or not ends or tokens == 0 or max(ends) <= min(begins):
        return None
    return tokens / (max(ends) - min(begins))


@dataclass(slots=True)
class Samples:
    """Gather samples by name."""

    units: dict[str, str] = field(default_factory=dict)
    by_name: dict[str, list[float]] = field(default_factory=dict)

    def add(self, name: str, unit: str, value: float | None) -> None:
        """Take one sample; None is what could not be measured, and keeps its place only."""
        self.units[name] = unit
        self.by_name.setdefault(name, []).extend([] if value is None else [value])

    def figures(self) -> list[Figure]:
        """Return one figure for each name, in the order in which they came."""
        return [
            Figure(
                name=name,
                unit=self.units[name],
                samples=samples,
                median=statistics.median(samples),
                low=min(samples),
                high=max(samples),
            )
            for name, samples in self.by_name.items()
            if samples
        ]
