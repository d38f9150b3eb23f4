"""Say what the engine is asked for and what it answers, independent of any dialect."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import msgspec

from mlxd.workers.engine.grammar import RowGrammar
from mlxd.workers.engine.reading import PromptReading


class FinishReason(StrEnum):
    """Why a row ended by itself."""

    STOP = "stop"
    """By the token that ends answers, which is no text."""
    COMPLETE = "complete"
    """By a token of the answer after which its grammar allows nothing more."""
    LENGTH = "length"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """Hold one row's sampling parameters; the defaults change nothing about the model's distribution."""

    temperature: float = 1.0
    """0 means greedy."""
    top_p: float = 1.0
    top_k: int = 0
    """0 means off."""
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    logit_bias: Mapping[int, float] = field(default_factory=dict)
    seed: int | None = None
    """The same seed and prompt give the same tokens alone and in any batch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerateRequest:
    """Ask for one continuation of `prompt`."""

    prompt: tuple[int, ...]
    max_tokens: int
    """At most what is left of the window; the dialect has resolved "not given" already."""
    sampling: Sampling = Sampling()
    logprobs: int | None = None
    """None: none; 0: the chosen token's; k: also the k most likely (at most 20)."""
    ignore_eos: bool = False
    grammar: RowGrammar | None = None
    """What the answer must look like; its end is the answer's, whatever `ignore_eos` says."""
    ends: tuple[int, ...] = ()
    """Lengths of the prompt's beginnings that end with a message, as far as they are known."""
    system: int = 0
    """Length of the system prompt it begins with; 0: none."""
    reading: PromptReading | None = None
    """How the prompt is read; None: it is all in its tokens."""
    tenant: str = ""
    """What was computed for one tenant is never of use to another."""


class TokenOutput(msgspec.Struct, frozen=True, gc=False):
    """One sampled token of one row. The end-of-sequence token itself is handed over too, with its finish reason."""

    token: int
    finish_reason: FinishReason | None = None
    logprob: float | None = None
    top_logprobs: tuple[tuple[int, float], ...] = ()
