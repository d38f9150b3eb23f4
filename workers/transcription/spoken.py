"""Say what is asked of a transcription, and what comes of it."""

import math
from dataclasses import dataclass, field

from mlxd.workers.sound.samples import Samples

HOPELESS = -100.0
"""Stands for a log-probability that is none: as unlikely as can be, and still a number."""


@dataclass(frozen=True, slots=True, eq=False)
class Listen:
    """Ask for what is said."""

    samples: Samples
    """16 kHz."""
    language: str | None = None
    """Code of the language that is spoken; None = find out."""
    translate: bool = False
    """Write it in English, whatever is spoken."""
    prompt: str | None = None
    """What was said before, or how names are spelled."""
    temperature: float = 0.0
    words: bool = False
    """Say when each word begins and ends."""


@dataclass(frozen=True, slots=True)
class Word:
    """Hold a word and its time, in seconds."""

    word: str
    start: float
    end: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """Hold a phrase and its time, in seconds, and how sure the model was."""

    start: float
    end: float
    text: str
    tokens: list[int] = field(default_factory=list)
    seek: int = 0
    """Where its window begins, in hundredths of a second."""
    temperature: float = 0.0
    avg_logprob: float = 0.0
    compression_ratio: float = 1.0
    no_speech_prob: float = 0.0
    words: tuple[Word, ...] = ()


@dataclass(frozen=True, slots=True)
class Heard:
    """Hold what was said in one stretch; stretches come in order and leave nothing out."""

    segments: tuple[Segment, ...]
    language: str | None
    """Code of the language, None where the model does not tell."""
    until: float
    """Second up to which all is heard."""


def number(value: float, otherwise: float = 0.0) -> float:
    """Return a value that JSON can hold."""
    value = float(value)
    return value if math.isfinite(value) else otherwise
