"""Describe the older Completions on the wire: the request, and the one shape of responses and chunks."""

from typing import Annotated

import msgspec

from mlxd.protocol import openai_fields
from mlxd.protocol.errors import InvalidRequest, UnsupportedField
from mlxd.protocol.openai_fields import MAX_CHOICES, MAX_TOP_LOGPROBS, Usage
from mlxd.protocol.openai_output import OutputFields

Prompt = str | list[str | int | list[int]]


class CompletionRequest(OutputFields, frozen=True, kw_only=True):
    """Hold a body of `POST /v1/completions`."""

    prompt: Prompt
    echo: bool | None = None
    best_of: int | None = None
    logprobs: Annotated[int, msgspec.Meta(ge=0, le=MAX_TOP_LOGPROBS)] | None = None


class CompletionLogprobs(msgspec.Struct, frozen=True):
    """Hold parallel lists over the tokens of a choice."""

    tokens: list[str]
    token_logprobs: list[float | None]
    top_logprobs: list[dict[str, float]] | None
    text_offset: list[int]


class CompletionChoice(msgspec.Struct, frozen=True, kw_only=True):
    """Hold one answer, or its share of a chunk."""

    index: int
    text: str
    logprobs: CompletionLogprobs | None = None
    finish_reason: str | None = None


class Completion(msgspec.Struct, frozen=True, kw_only=True):
    """Hold a whole response or one event of a stream."""

    id: str
    object: str = "text_completion"
    created: int
    model: str
    choices: list[CompletionChoice]
    usage: Usage | None | msgspec.UnsetType = msgspec.UNSET


_decoder = msgspec.json.Decoder(CompletionRequest)


def decode(body: bytes) -> CompletionRequest:
    """Read a body; raises InvalidRequest or UnsupportedField naming the field at fault."""
    request = openai_fields.decode(body, _decoder)
    if request.best_of is not None and request.best_of != (request.n or 1):
        raise UnsupportedField("best_of")
    if request.echo and request.logprobs is not None:
        raise UnsupportedField("echo", "is not supported together with logprobs")
    return request


def prompts(value: Prompt) -> list[str | list[int]]:
    """Return the prompts of a body, each a string or token ids, however they were given."""
    if isinstance(value, str):
        return [value]
    if not value:
        raise InvalidRequest("prompt: expected a prompt, got an empty list", field="prompt")
    ids = [item for item in value if isinstance(item, int)]
    if len(ids) == len(value):
        return [ids]
    batch = [item for item in value if not isinstance(item, int)]
    if len(batch) != len(value):
        raise InvalidRequest(
            "prompt: expected a string, token ids, or a list of either, got a mixture",
            field="prompt",
        )
    if len(batch) > MAX_CHOICES:
        raise InvalidRequest(
            f"prompt: expected at most {MAX_CHOICES} prompts, got {len(batch)}", field="prompt"
        )
    return batch
