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
