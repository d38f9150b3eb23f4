"""Gather interleaved samples and print medians, ratios first."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field


def percentile(samples: Sequence[float], share: float) -> float:
    """Return the sample below which `share` of them lie."""
    ordered = sorted(samples)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


@dataclass
class Plot:
    """Say what a picture of a report shows."""

    x: str
    y: str
    lines: dict[str, list[tuple[float, float]]]
    """Points by the name of their line."""


@dataclass
class Report:
    """Hold what one benchmark found."""

    title: str
    samples: dict[str, list[float]] = field(default_factory=dict)
    """Seconds by name; the same index is the same round."""
    ratios: dict[str, float] = field(default_factory=dict)
    figures: dict[str, float] = field(default_factory=dict)
    shares: dict[str, list[float]] = field(default_factory=dict)
    """Samples that are no times."""
    notes: list[str] = field(default_factory=list)
    """What a reader must know of the conditions."""
    plot: Plot | None = None
    unit: str = "seconds"

    def add(self, name: str, seconds: float) -> None:
        """Take one sample."""
        self.samples.setdefault(name, []).append(seconds)

    def median(self, name: str) -> float:
        """Return the median of a row."""
        return statistics.median(self.samples[name])

    def paired(self, name: str, above: str, below: str) -> None:
        """Note the median of `above`/`below`, pair by pair."""
        pairs = zip(self.samples[above], self.samples[below], strict=True)
        self.ratios[name] = statistics.median(a / b for a, b in pairs)

    def as_text(self) -> str:
        """Return a table for people."""
        lines = [self.title, ""]
        lines += [f"{name:44} {value:9.2f} x" for name, value in self.ratios.items()]
        lines += [f"{name:44} {value:9.4g}" for name, value in self.figures.items()]
        lines += ["", *self.notes] if self.notes else []
        lines += ["", f"{self.unit:36} {'p50':>8} {'p95':>8} {'p99':>8}     n"]
        for name, samples in self.samples.items():
            row = [percentile(samples, share) for share in (0.5, 0.95, 0.99)]
            lines.append(f"{name:36} " + " ".join(f"{v:8.4f}" for v in row) + f" {len(samples):5}")
        return "\n".join(lines)

    def as_json(self) -> dict[str, object]:
        """Return all of it for machines."""
        return {
            "title": self.title,
            "ratios": self.ratios,
            "figures": self.figures,
            "notes": self.notes,
            "unit": self.unit,
            "samples": self.samples,
        }
