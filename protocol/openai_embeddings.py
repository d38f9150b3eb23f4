"""Describe OpenAI's Embeddings on the wire."""

from typing import Annotated, Literal

import msgspec

from mlxd.protocol import request_body
from mlxd.protocol.errors import InvalidRequest
from mlxd.protocol.request_body import Refused

MOST_INPUTS = 2048

Input = str | list[str | int | list[int]]
Text = str | list[int]


class EmbeddingsRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Hold a body of `POST /v1/embeddings`."""

    model: str
    input: Input
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Annotated[int, msgspec.Meta(ge=1)] | None = None
    truncate: bool | None = None
    """Cut long texts off instead of refusing them; ours."""
    prompt_name: str | None = None
    """Which of the model's own prompts to put before each text; ours."""


class Embedding(msgspec.Struct, frozen=True, kw_only=True):
    """Hold one vector, as numbers or as base64 of little-endian float32."""

    object: str = "embedding"
    index: int
    embedding: list[float] | str


class EmbeddingsUsage(msgspec.Struct, frozen=True, kw_only=True):
    """Count the tokens that were read, special ones included."""

    prompt_tokens: int
    total_tokens: int


class Embeddings(msgspec.Struct, frozen=True, kw_only=True):
    """Hold the response."""

    object: str = "list"
    data: list[Embedding]
    model: str
    usage: EmbeddingsUsage


_REFUSED = Refused(
    {"input_type": (), "task": (), "late_chunking": (False,), "embedding_type": ("float",)}
)
_decoder = msgspec.json.Decoder(EmbeddingsRequest)


def decode(body: bytes) -> EmbeddingsRequest:
    """Read a body; raises InvalidRequest or UnsupportedField naming the field at fault."""
    return request_body.decode(body, _decoder, _REFUSED)


def texts(value: Input) -> list[Text]:
    """Return the inputs, each a string or token ids, however they were given."""
    if isinstance(value, str):
        return [value]
    if not value:
        raise InvalidRequest("input: expected a text, got an empty list", field="input")
    ids = [item for item in value if isinstance(item, int)]
    if len(ids) == len(value):
        return [ids]
    items = [item for item in value if not isinstance(item, int)]
    if len(items) != len(value):
        raise InvalidRequest(
            "input: expected texts or token ids, got a mixture with numbers", field="input"
        )
    if len(items) > MOST_INPUTS:
        message = f"input: expected at most {MOST_INPUTS} texts, got {len(items)}"
        raise InvalidRequest(message, field="input")
    for number, item in enumerate(items):
        if not item:
            name = f"input[{number}]"
            raise InvalidRequest(f"{name}: expected a text, got an empty one", field=name)
    return items
