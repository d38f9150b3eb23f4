"""Describe Chat Completions on the wire: the request, the response and the chunks of a stream."""

from typing import Annotated

import msgspec

from mlxd.protocol import openai_fields
from mlxd.protocol.errors import InvalidRequest
from mlxd.protocol.openai_fields import MAX_TOP_LOGPROBS, Positive, Usage
from mlxd.protocol.openai_output import OutputFields

ROLES = ("system", "developer", "user", "assistant", "tool")


class ImageUrl(msgspec.Struct, frozen=True):
    """Name a picture: by a data: URI, or by an address."""

    url: str
    detail: str | None = None
    max_pixels: int | None = None
    """What it is scaled down to; not OpenAI's, but what models with pictures of any size are asked for."""


class VideoUrl(msgspec.Struct, frozen=True):
    """Name a film: by a data: URI, or by an address; not OpenAI's, but what other servers take."""

    url: str
    fps: float | None = None
    """Frames of each second that are shown."""
    max_pixels: int | None = None
    """What each frame is scaled down to."""


class AudioUrl(msgspec.Struct, frozen=True):
    """Name a sound: by a data: URI, or by an address; not OpenAI's, but what other servers take."""

    url: str


class InputAudio(msgspec.Struct, frozen=True):
    """Hold a sound's file in base64; what it is, its first bytes tell."""

    data: str
    format: str | None = None


class ContentPart(msgspec.Struct, frozen=True):
    """Hold one part of a message's content; what `type` asks for is checked where it is used."""

    type: str
    text: str | None = None
    refusal: str | None = None
    image_url: ImageUrl | str | None = None
    video_url: VideoUrl | str | None = None
    audio_url: AudioUrl | str | None = None
    input_audio: InputAudio | None = None
    max_pixels: int | None = None
    fps: float | None = None


class CalledFunction(msgspec.Struct, frozen=True):
    """Hold a call the assistant made earlier; arguments come as a string of JSON or as the object itself."""

    name: str
    arguments: str | dict[str, object] | None = None


class MessageToolCall(msgspec.Struct, frozen=True):
    """Hold one entry of an assistant message's `tool_calls`."""

    function: CalledFunction
    id: str | None = None
    type: str = "function"


class Message(msgspec.Struct, frozen=True):
    """Hold one message of any role."""

    role: str
    content: str | list[ContentPart] | None = None
    name: str | None = None
    tool_calls: list[MessageToolCall] | None = None
    tool_call_id: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    refusal: str | None = None


class FunctionSpec(msgspec.Struct, frozen=True):
    """Describe a function the model may call; with `strict` its arguments always validate."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
    description: str | None = None
    parameters: dict[str, object] | None = None
    strict: bool | None = None


class ToolSpec(msgspec.Struct, frozen=True):
    """Describe one entry of `tools`; only functions can be called here."""

    type: str
    function: FunctionSpec | None = None


class ChatCompletionRequest(OutputFields, frozen=True, kw_only=True):
    """Hold a body of `POST /v1/chat/completions`."""

    messages: list[Message]
    max_completion_tokens: Positive | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, msgspec.Meta(ge=0, le=MAX_TOP_LOGPROBS)] | None = None
    tools: list[ToolSpec] | None = None
    tool_choice: str | dict[str, object] | None = None
    parallel_tool_calls: bool | None = None
    reasoning_effort: str | None = None
    chat_template_kwargs: dict[str, object] | None = None


class TopLogprob(msgspec.Struct, frozen=True):
    """Hold one of the most likely tokens at a position."""

    token: str
    logprob: float
    bytes: list[int]


class TokenLogprob(msgspec.Struct, frozen=True):
    """Hold the chosen token at a position and its rivals."""

    token: str
    logprob: float
    bytes: list[int]
    top_logprobs: list[TopLogprob]


class ChoiceLogprobs(msgspec.Struct, frozen=True):
    """Hold the log-probabilities of a choice's visible content."""

    content: list[TokenLogprob]
    refusal: None = None


class ToolCallFunction(msgspec.Struct, frozen=True):
    """Hold name and arguments of a call; arguments are a string of JSON."""

    name: str
    arguments: str


class ToolCall(msgspec.Struct, frozen=True):
    """Hold one call of an answer."""

    id: str
    function: ToolCallFunction
    type: str = "function"


class ToolCallChunk(msgspec.Struct, frozen=True):
    """Hold one call of a streamed answer; `index` says which call the piece belongs to."""

    index: int
    id: str
    function: ToolCallFunction
    type: str = "function"


class ResponseMessage(msgspec.Struct, frozen=True, kw_only=True):
    """Hold a whole answer; content is null only where calls take its place."""

    role: str = "assistant"
    content: str | None
    refusal: None = None
    reasoning_content: str | msgspec.UnsetType = msgspec.UNSET
    tool_calls: list[ToolCall] | msgspec.UnsetType = msgspec.UNSET


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """Hold one of the `n` answers."""

    index: int
    message: ResponseMessage
    logprobs: ChoiceLogprobs | None
    finish_reason: str


class ChatCompletion(msgspec.Struct, frozen=True, kw_only=True):
    """Hold a whole response."""

    id: str
    object: str = "chat.completion"
    created: int
    model: str
    choices: list[Choice]
    usage: Usage


class Delta(msgspec.Struct, frozen=True, kw_only=True):
    """Hold what a chunk adds to an answer."""

    role: str | msgspec.UnsetType = msgspec.UNSET
    content: str | msgspec.UnsetType = msgspec.UNSET
    reasoning_content: str | msgspec.UnsetType = msgspec.UNSET
    tool_calls: list[ToolCallChunk] | msgspec.UnsetType = msgspec.UNSET


class ChunkChoice(msgspec.Struct, frozen=True, kw_only=True):
    """Hold one answer's share of a chunk."""

    index: int
    delta: Delta
    logprobs: ChoiceLogprobs | None = None
    finish_reason: str | None = None


class ChatCompletionChunk(msgspec.Struct, frozen=True, kw_only=True):
    """Hold one event of a stream; `usage` is there only where the caller asked for it."""

    id: str
    object: str = "chat.completion.chunk"
    created: int
    model: str
    choices: list[ChunkChoice]
    usage: Usage | None | msgspec.UnsetType = msgspec.UNSET


_decoder = msgspec.json.Decoder(ChatCompletionRequest)


def decode(body: bytes) -> ChatCompletionRequest:
    """Read a body; raises InvalidRequest or UnsupportedField naming the field at fault."""
    request = openai_fields.decode(body, _decoder)
    if not request.messages:
        raise InvalidRequest("messages: expected at least one message", field="messages")
    for index, message in enumerate(request.messages):
        if message.role not in ROLES:
            field = f"messages[{index}].role"
            expected = ", ".join(ROLES)
            raise InvalidRequest(
                f"{field}: expected one of {expected}, got {message.role[:32]!r}", field=field
            )
    if request.top_logprobs and not request.logprobs:
        raise InvalidRequest("top_logprobs: expected logprobs to be true", field="top_logprobs")
    return request
