"""Translate what Chat Completions and Completions share, in and out."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import uuid4

from mlxd.protocol import openai_fields
from mlxd.protocol.openai_fields import (
    CompletionTokensDetails,
    PromptTokensDetails,
    SamplingFields,
)
from mlxd.protocol.openai_fields import Usage as WireUsage
from mlxd.workers.chat.events import Usage
from mlxd.workers.chat.request import Controls
from mlxd.workers.engine.request import Sampling

_SEED_MASK = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Stamp:
    """Hold what every piece of one response repeats."""

    id: str
    created: int
    model: str


def stamp(prefix: str, model: str) -> Stamp:
    """Return a new response's stamp; `model` is the name that ran, whatever alias was asked for."""
    return Stamp(f"{prefix}-{uuid4().hex}", int(time.time()), model)


def controls(
    fields: SamplingFields, *, max_tokens: int | None, logprobs: int | None, vocab_size: int
) -> Controls:
    """Translate the shared fields; raises InvalidRequest naming the one at fault."""
    sampling = Sampling(
        temperature=_or(fields.temperature, 1.0),
        top_p=_or(fields.top_p, 1.0),
        top_k=max(0, fields.top_k or 0),
        min_p=fields.min_p or 0.0,
        repetition_penalty=_or(fields.repetition_penalty, 1.0),
        presence_penalty=fields.presence_penalty or 0.0,
        frequency_penalty=fields.frequency_penalty or 0.0,
        logit_bias=openai_fields.logit_bias(fields.logit_bias, vocab_size),
        seed=None if fields.seed is None else fields.seed & _SEED_MASK,
    )
    return Controls(
        sampling=sampling,
        max_tokens=max_tokens,
        stops=openai_fields.stops(fields.stop),
        logprobs=logprobs,
        choices=fields.n or 1,
        ignore_eos=bool(fields.ignore_eos),
    )


def _or(value: float | None, default: float) -> float:
    return default if value is None else value


def total_usage(usages: Sequence[Usage], choices: int) -> WireUsage:
    """Add up the answers' tokens; a prompt counts once, however many answers it has."""
    firsts = usages[::choices]
    prompt = sum(usage.prompt for usage in firsts)
    completion = sum(usage.completion for usage in usages)
    return WireUsage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        total_tokens=prompt + completion,
        prompt_tokens_details=PromptTokensDetails(sum(usage.cached for usage in firsts)),
        completion_tokens_details=CompletionTokensDetails(sum(usage.reasoning for usage in usages)),
    )


def wants_usage(fields: SamplingFields) -> bool:
    """Say whether a stream ends with a chunk of usage."""
    return bool(fields.stream_options and fields.stream_options.include_usage)
