"""Describe Ollama's `/api/embed` and the older `/api/embeddings` on the wire."""

from typing import Annotated

import msgspec

from mlxd.protocol import request_body
from mlxd.protocol.errors import InvalidRequest
from mlxd.protocol.ollama_fields import Options
from mlxd.protocol.openai_embeddings import MOST_INPUTS
from mlxd.protocol.request_body import Refused


class EmbedRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Hold a body of `POST /api/embed`; options change nothing about a vector."""

    model: str
    input: str | list[str] | None = None
    truncate: bool | None = None
    """Long texts are cut off unless it says false."""
    dimensions: Annotated[int, msgspec.Meta(ge=1)] | None = None
    options: Options | None = None


class OlderRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Hold a body of `POST /api/embeddings`."""

    model: str
    prompt: str
    options: Options | None = None


class Embedded(msgspec.Struct, frozen=True, kw_only=True):
    """Hold the answer of `/api/embed`; durations are nanoseconds."""

    model: str
    embeddings: list[list[float]]
    total_duration: int
    load_duration: int
    prompt_eval_count: int


class OlderEmbedded(msgspec.Struct, frozen=True, kw_only=True):
    """Hold the answer of `/api/embeddings`."""

    embedding: list[float]


_NONE = Refused({})
_embed, _older = msgspec.json.Decoder(EmbedRequest), msgspec.json.Decoder(OlderRequest)


def decode(body: bytes) -> EmbedRequest:
    """Read a body of `/api/embed`; raises InvalidRequest naming the field at fault."""
    request = request_body.decode(body, _embed, _NONE)
    if isinstance(request.input, list) and len(request.input) > MOST_INPUTS:
        message = f"input: expected at most {MOST_INPUTS} texts, got {len(request.input)}"
        raise InvalidRequest(message, field="input")
    return request


def decode_older(body: bytes) -> OlderRequest:
    """Read a body of `/api/embeddings`; raises InvalidRequest naming the field at fault."""
    return request_body.decode(body, _older, _NONE)


def texts(request: EmbedRequest) -> list[str]:
    """Return the inputs; none at all only load the model."""
    given = request.input
    if isinstance(given, str):
        return [given] if given else []
    return given or []
