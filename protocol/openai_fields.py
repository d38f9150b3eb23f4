"""Hold what Chat Completions and Completions share: decoding a body, the sampling fields, usage, the refused fields."""

from collections.abc import Mapping
from typing import Annotated, TypeVar

import msgspec

from mlxd.protocol import request_body
from mlxd.protocol.errors import InvalidRequest

MAX_STOPS = 16
MAX_CHOICES = 128
MAX_TOP_LOGPROBS = 20

IGNORED = frozenset(
    {
        "extra_body", "keep_alive", "metadata", "prompt_cache_key", "prompt_cache_retention", "safety_identifier",
        "service_tier", "store", "user", "verbosity",
    }
)  # fmt: skip
"""Fields that are known and change nothing here, whatever they hold; names nobody knows are ignored too."""

REFUSED: Mapping[str, tuple[object, ...]] = {
    "adapters": (),
    "allowed_token_ids": ([],),
    "audio": (),
    "bad_words": ([],),
    "draft_model": (),
    "function_call": ("auto", "none"),
    "functions": ([],),
    "grammar": ("",),
    "guided_choice": (),
    "guided_grammar": (),
    "guided_json": (),
    "guided_regex": (),
    "length_penalty": (1,),
    "min_tokens": (0,),
    "modalities": (["text"],),
    "prediction": (),
    "prompt_logprobs": (0,),
    "stop_token_ids": ([],),
    "suffix": ("",),
    "truncate_prompt_tokens": (),
    "typical_p": (1,),
    "use_beam_search": (False,),
    "web_search_options": (),
    "xtc_probability": (0,),
}
"""Fields that are known and not implemented, with the values besides null that ask for nothing."""

Probability = Annotated[float, msgspec.Meta(ge=0, le=1)]
Penalty = Annotated[float, msgspec.Meta(ge=-2, le=2)]
Positive = Annotated[int, msgspec.Meta(ge=1)]


class StreamOptions(msgspec.Struct, frozen=True):
    """Say what a stream carries besides the answer."""

    include_usage: bool | None = None


class SamplingFields(msgspec.Struct, frozen=True, kw_only=True):
    """Hold the fields that mean the same in both bodies; null is "not given"."""

    model: str
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: Positive | None = None
    n: Annotated[int, msgspec.Meta(ge=1, le=MAX_CHOICES)] | None = None
    stop: str | list[str] | None = None
    seed: int | None = None
    temperature: Annotated[float, msgspec.Meta(ge=0, le=100)] | None = None
    top_p: Probability | None = None
    top_k: Annotated[int, msgspec.Meta(ge=-1)] | None = None
    min_p: Probability | None = None
    repetition_penalty: Annotated[float, msgspec.Meta(gt=0, le=100)] | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    logit_bias: dict[str, Annotated[float, msgspec.Meta(ge=-100, le=100)]] | None = None
    ignore_eos: bool | None = None


class PromptTokensDetails(msgspec.Struct, frozen=True):
    """Say how many prompt tokens were not computed again."""

    cached_tokens: int = 0


class CompletionTokensDetails(msgspec.Struct, frozen=True):
    """Say how many of the generated tokens were reasoning."""

    reasoning_tokens: int = 0


class Usage(msgspec.Struct, frozen=True):
    """Count tokens the way OpenAI's clients read them."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptTokensDetails
    completion_tokens_details: CompletionTokensDetails


_refused = request_body.Refused(REFUSED)

T = TypeVar("T")


def decode(body: bytes, decoder: msgspec.json.Decoder[T]) -> T:
    """Read a request body; raises InvalidRequest or UnsupportedField naming the field at fault."""
    return request_body.decode(body, decoder, _refused)


def stops(value: str | list[str] | None) -> tuple[str, ...]:
    """Return the stop strings; empty ones ask for nothing."""
    given = [value] if isinstance(value, str) else value or []
    if len(given) > MAX_STOPS:
        raise InvalidRequest(
            f"stop: expected at most {MAX_STOPS} strings, got {len(given)}", field="stop"
        )
    return tuple(dict.fromkeys(stop for stop in given if stop))


def logit_bias(value: Mapping[str, float] | None, vocab_size: int) -> dict[int, float]:
    """Return the bias per token id; raises InvalidRequest for a key that is no token of this model."""
    bias = {}
    for key, amount in (value or {}).items():
        token = int(key) if key.isascii() and key.isdigit() and len(key) < 10 else -1
        if not 0 <= token < vocab_size:
            raise InvalidRequest(
                f"logit_bias: expected token ids from 0 to {vocab_size - 1} as keys, got {key[:32]!r}",
                field="logit_bias",
            )
        bias[token] = amount
    return bias
