"""Say what a model's entry may set of its answers; one struct is read from the file and sent to the worker."""

from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import Meta

Probability = Annotated[float, Meta(ge=0, le=1)]
Penalty = Annotated[float, Meta(ge=-2, le=2)]

Overflow: TypeAlias = Literal["error", "truncate", "summarize"]
"""What is done to a conversation that is too long: refuse it, leave out its oldest messages, or summarize them."""


class SamplingDefaults(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Hold what a request gets that leaves a field out; None = what changes nothing about the model."""

    temperature: Annotated[float, Meta(ge=0, le=100)] | None = None
    """0 = always the likeliest token."""
    top_p: Probability | None = None
    """Share of the likeliest tokens to draw from."""
    top_k: Annotated[int, Meta(ge=0)] | None = None
    """Number of the likeliest tokens to draw from, 0 = all."""
    min_p: Probability | None = None
    """Least probability of a token, as a share of the likeliest one's."""
    repetition_penalty: Annotated[float, Meta(gt=0, le=100)] | None = None
    """Above 1, tokens that were there before become less likely."""
    presence_penalty: Penalty | None = None
    """The same by a fixed amount."""
    frequency_penalty: Penalty | None = None
    """The same by an amount for each time."""
    max_tokens: Annotated[int, Meta(ge=1)] | None = None
    """Longest answer."""
    seed: Annotated[int, Meta(ge=0)] | None = None
    """Makes equal requests give equal answers."""


NEUTRAL = SamplingDefaults()
"""Change nothing about the model."""


class KvCache(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Say how a model keeps what it has read, where that is to take less memory than it would by itself."""

    bits: Literal[4, 8] | None = None
    """Bits of a number; None = as the model computes."""
    group_size: Literal[32, 64, 128] | None = None
    """Numbers that share a scale; needs `bits`."""
    max_tokens: Annotated[int, Meta(ge=16)] | None = None
    """Newest tokens that are kept; older ones are forgotten."""
    keep: Annotated[int, Meta(ge=0)] | None = None
    """First tokens that are never forgotten; needs `max_tokens`."""

    def resolved(self) -> "KvCache":
        """Return the same with what was left out: groups of 64; four first tokens, for many models need some."""
        return KvCache(
            bits=self.bits,
            group_size=(self.group_size or 64) if self.bits else None,
            max_tokens=self.max_tokens,
            keep=(4 if self.keep is None else self.keep) if self.max_tokens else None,
        )

    def problem(self) -> str | None:
        """Return what in it contradicts itself."""
        if self.bits and self.max_tokens:
            return "kv_cache.bits and kv_cache.max_tokens cannot be had together"
        if self.group_size and not self.bits:
            return "kv_cache.group_size: expected kv_cache.bits beside it"
        if self.keep is not None and not self.max_tokens:
            return "kv_cache.keep: expected kv_cache.max_tokens beside it"
        if self.keep and self.max_tokens and self.keep >= self.max_tokens:
            return f"kv_cache.keep: expected less than max_tokens, got {self.keep}"
        return None

    @property
    def is_serial(self) -> bool:
        """Whether rows cannot share a batch: mlx-lm joins neither quantized caches nor first tokens that are kept."""
        return bool(self.bits or (self.max_tokens and self.keep))

    def __str__(self) -> str:
        if self.bits:
            return f"{self.bits} bits in groups of {self.group_size}"
        first = f" and the first {self.keep}" if self.keep else ""
        return f"the last {self.max_tokens} tokens{first}"

    def disables(self) -> list[str]:
        """Return what a model does not do that keeps its state like this, each in a few words."""
        found = ["batching: one request at a time"] if self.is_serial else []
        if self.max_tokens:
            found += [
                f"attention to what is more than {self.max_tokens} tokens back",
                f"reuse of a part of what was read, once that is longer than {self.max_tokens} tokens",
            ]
        return found
