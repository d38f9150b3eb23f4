"""Describe rerank on the wire: the shape that Cohere's and Jina's clients share."""

from typing import Annotated

import msgspec

from mlxd.protocol import request_body
from mlxd.protocol.errors import InvalidRequest
from mlxd.protocol.request_body import Refused

MOST_DOCUMENTS = 1000


class Document(msgspec.Struct, frozen=True):
    """Hold a document given as an object."""

    text: str


class RerankRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Hold a body of `POST /v1/rerank`."""

    model: str
    query: str
    documents: list[str | Document]
    top_n: Annotated[int, msgspec.Meta(ge=1)] | None = None
    return_documents: bool | None = None
    instruction: str | None = None
    """What counts as relevant, for models that take one; ours."""


class RerankResult(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Hold a document's place."""

    index: int
    relevance_score: float
    document: Document | None = None


class RerankUsage(msgspec.Struct, frozen=True, kw_only=True):
    """Count the tokens that were read: the query once for each document."""

    prompt_tokens: int
    total_tokens: int


class Rerank(msgspec.Struct, frozen=True, kw_only=True):
    """Hold the response, the most relevant document first."""

    id: str
    object: str = "rerank"
    model: str
    results: list[RerankResult]
    usage: RerankUsage


_REFUSED = Refused(
    {"max_chunks_per_doc": (1,), "max_tokens_per_doc": (), "rank_fields": ([], ["text"]), "truncation": (True,)}
)  # fmt: skip
_decoder = msgspec.json.Decoder(RerankRequest)


def decode(body: bytes) -> RerankRequest:
    """Read a body; raises InvalidRequest or UnsupportedField naming the field at fault."""
    request = request_body.decode(body, _decoder, _REFUSED)
    count = len(request.documents)
    if not 1 <= count <= MOST_DOCUMENTS:
        message = f"documents: expected 1 to {MOST_DOCUMENTS} of them, got {count}"
        raise InvalidRequest(message, field="documents")
    return request


def texts(request: RerankRequest) -> list[str]:
    """Return the documents' texts."""
    return [item if isinstance(item, str) else item.text for item in request.documents]
