"""Translate what Chat Completions and Completions share, in and out."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
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
from mlxd.workers.engine.sampling_defaults import sampling
from mlxd.workers.model import TextModel


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
    fields: SamplingFields, *, max_tokens: int | None, logprobs: int | None, model: TextModel
) -> Controls:
    """Translate the shared fields; raises InvalidRequest naming the one at fault."""
    defaults = model.spec.sampling
    found = sampling(
        defaults,
        temperature=fields.temperature,
        top_p=fields.top_p,
        top_k=fields.top_k,
        min_p=fields.min_p,
        repetition_penalty=fields.repetition_penalty,
        presence_penalty=fields.presence_penalty,
        frequency_penalty=fields.frequency_penalty,
        seed=fields.seed,
    )
    bias = openai_fields.logit_bias(fields.logit_bias, model.vocab_size)
    return Controls(
        sampling=replace(found, logit_bias=bias),
        max_tokens=max_tokens or defaults.max_tokens,
        stops=openai_fields.stops(fields.stop),
        logprobs=logprobs,
        choices=fields.n or 1,
        ignore_eos=bool(fields.ignore_eos),
    )


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
