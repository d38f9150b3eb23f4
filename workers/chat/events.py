"""Name what happens while an answer is written: the one stream of events every dialect renders."""

from dataclasses import dataclass
from enum import StrEnum


class EndReason(StrEnum):
    """Why an answer ended."""

    STOP = "stop"
    LENGTH = "length"
    TOOL_CALLS = "tool_calls"


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """Hold the chosen token of a position, and its most likely rivals where asked for."""

    token: int
    logprob: float
    top: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True, slots=True)
class TextDelta:
    """Add to the visible answer."""

    text: str
    logprobs: tuple[TokenLogprob, ...] = ()
    """The tokens whose text starts in this delta; only where asked for."""


@dataclass(frozen=True, slots=True)
class ReasoningDelta:
    """Add to the reasoning that comes apart from the answer."""

    text: str


@dataclass(frozen=True, slots=True)
class ToolCallDelta:
    """Add a whole call; `arguments` is a string of JSON."""

    index: int
    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Usage:
    """Count the tokens of one answer."""

    prompt: int
    completion: int
    cached: int = 0
    reasoning: int = 0


@dataclass(frozen=True, slots=True)
class Finish:
    """End the answer; always the last event, and never sent after an error."""

    reason: EndReason
    usage: Usage
    stop: str | None = None
    """The stop string that ended the answer, if one did."""


Event = TextDelta | ReasoningDelta | ToolCallDelta | Finish
