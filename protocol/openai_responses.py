"""Describe a Responses request on the wire, as the supervisor and the worker both read it.

The supervisor reads it too because it keeps the store and speaks before a worker does. `input`, which may be large, is
left as the bytes it came in.
"""

from typing import Annotated, Literal

import msgspec

from mlxd.protocol import request_body
from mlxd.protocol.errors import InvalidRequest
from mlxd.protocol.generation import Overflow
from mlxd.protocol.openai_fields import MAX_TOP_LOGPROBS, Positive, SamplingFields

RESPONSE_ID = "x-mlxd-response-id"
"""Header by which the supervisor names a response to the worker that writes it."""
CREATED_AT = "x-mlxd-created-at"
"""Header: the second the response was created."""
NEXT_NUMBER = "x-mlxd-sequence-number"
"""Header: number of the worker's first event; those before it the client has already."""
PAUSE = "x-mlxd-longest-pause"
"""Header: seconds after which a stream that is silent gets another `response.in_progress`."""

IGNORED = frozenset(
    {
        "access_programs", "client_metadata", "context_management", "extra_body", "image", "keep_alive",
        "prompt_cache_options", "prompt_cache_retention", "service_tier",
    }
)  # fmt: skip
"""Fields that are known and change nothing here, whatever they hold; names nobody knows are ignored too."""

REFUSED: dict[str, tuple[object, ...]] = {
    "adapters": (),
    "draft_model": (),
    "functions": ([],),
    "function_call": ("auto", "none"),
    "grammar": ("",),
    "guided_choice": (),
    "guided_grammar": (),
    "guided_json": (),
    "guided_regex": (),
    "modalities": (["text"],),
    "moderation": (),
    "n": (1,),
    "prompt": (),
    "response_format": ({"type": "text"},),
    "stop_token_ids": ([],),
    "structured_outputs": (),
}
"""Fields that are known and not implemented, with the values besides null that ask for nothing."""


class TextOptions(msgspec.Struct, frozen=True):
    """Say what the text of the answer must look like; how long it should be is left to the model."""

    format: dict[str, object] | None = None
    verbosity: str | None = None


class ReasoningOptions(msgspec.Struct, frozen=True):
    """Say how much to reason; a summary may be asked for, but what is sent is the reasoning itself."""

    effort: str | None = None
    summary: str | None = None


class ConversationRef(msgspec.Struct, frozen=True):
    """Name a conversation."""

    id: str


class ResponsesRequest(SamplingFields, frozen=True, kw_only=True):
    """Hold a body of `POST /v1/responses`."""

    input: msgspec.Raw = msgspec.Raw()
    """A string, or a list of items."""
    instructions: str | None = None
    previous_response_id: str | None = None
    conversation: str | ConversationRef | None = None
    store: bool | None = None
    background: bool | None = None
    max_output_tokens: Positive | None = None
    max_tool_calls: int | None = None
    top_logprobs: Annotated[int, msgspec.Meta(ge=0, le=MAX_TOP_LOGPROBS)] | None = None
    text: TextOptions | None = None
    reasoning: ReasoningOptions | None = None
    tools: list[dict[str, object]] | None = None
    tool_choice: str | dict[str, object] | None = None
    truncation: Literal["auto", "disabled"] | None = None
    """What becomes of an input that is too long; None leaves that to the model's entry."""
    parallel_tool_calls: bool | None = None
    include: list[str] | None = None
    metadata: dict[str, str] | None = None
    prompt_cache_key: str | None = None
    safety_identifier: str | None = None
    user: str | None = None
    chat_template_kwargs: dict[str, object] | None = None

    @property
    def overflow(self) -> Overflow | None:
        """Return the same in the words of a model's entry; None where nothing is said."""
        if self.truncation is None:
            return None
        return "truncate" if self.truncation == "auto" else "error"

    @property
    def conversation_id(self) -> str | None:
        """Return the id of the conversation the response belongs to."""
        named = self.conversation
        return named.id if isinstance(named, ConversationRef) else named

    @property
    def is_stored(self) -> bool:
        """Say whether the response is to be kept; it is unless the caller says no."""
        return self.store is not False


_decoder = msgspec.json.Decoder(ResponsesRequest)
_refused = request_body.Refused(REFUSED)


def decode(body: bytes) -> ResponsesRequest:
    """Read a body; raises InvalidRequest or UnsupportedField naming the field at fault."""
    request = request_body.decode(body, _decoder, _refused)
    follows = request.previous_response_id is not None, request.conversation is not None
    if bytes(request.input) in (b"", b"null") and not any(follows):
        raise InvalidRequest("input: required and missing", field="input")
    if all(follows):
        raise InvalidRequest(
            "previous_response_id: cannot be used together with conversation",
            field="previous_response_id",
        )
    if request.background and not request.is_stored:
        raise InvalidRequest(
            "background: expected store to be true, how else would the response be fetched",
            field="background",
        )
    if request.text is not None and request.text.format is not None:
        _check_format(request.text.format)
    return request


def _check_format(wanted: dict[str, object]) -> None:
    kind = wanted.get("type")
    if kind not in ("text", "json_object", "json_schema"):
        raise InvalidRequest(
            "text.format.type: expected text, json_object or json_schema", field="text.format.type"
        )
    if kind == "json_schema" and not isinstance(wanted.get("schema"), dict | bool):
        raise InvalidRequest(
            "text.format.schema: expected a JSON schema", field="text.format.schema"
        )


def items(value: msgspec.Raw) -> list[msgspec.Raw] | str:
    """Return `input` as its text or its items, each still undecoded; nothing given is no item."""
    try:
        found = msgspec.json.decode(value or b"null", type=str | list[msgspec.Raw] | None)
    except msgspec.ValidationError:
        raise InvalidRequest("input: expected a string or a list of items", field="input") from None
    return [] if found is None else found
