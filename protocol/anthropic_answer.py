"""Describe Anthropic's answers on the wire: the whole message, and the events of a stream."""

from typing import TypeAlias

import msgspec


class OutputTokensDetails(msgspec.Struct, frozen=True):
    """Say how many of the generated tokens were reasoning."""

    thinking_tokens: int = 0


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """Count tokens the way Anthropic does: what was read from the cache is no part of `input_tokens`.

    The prompt's length, which `count_tokens` returns, is the sum of the three input counts. Nothing is ever counted as
    written to the cache: every prompt is, and it costs the caller nothing.
    """

    input_tokens: int
    cache_creation_input_tokens: int = 0
    cache_read_input_tokens: int = 0
    output_tokens: int = 0
    output_tokens_details: OutputTokensDetails = OutputTokensDetails()


class TextBlock(msgspec.Struct, frozen=True, tag_field="type", tag="text"):
    """Hold visible text."""

    text: str
    citations: None = None


class ThinkingBlock(msgspec.Struct, frozen=True, tag_field="type", tag="thinking"):
    """Hold reasoning; clients send signature and text back as they are."""

    thinking: str
    signature: str


class ToolUseBlock(msgspec.Struct, frozen=True, tag_field="type", tag="tool_use"):
    """Hold a call."""

    id: str
    name: str
    input: dict[str, object]


ContentBlock: TypeAlias = TextBlock | ThinkingBlock | ToolUseBlock


class Message(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="message"):
    """Hold a whole answer, or the empty one a stream begins with."""

    id: str
    role: str = "assistant"
    model: str
    content: list[ContentBlock]
    stop_reason: str | None = None
    stop_sequence: str | None = None
    usage: Usage


class TokenCount(msgspec.Struct, frozen=True):
    """Answer `count_tokens`."""

    input_tokens: int


class TextDelta(msgspec.Struct, frozen=True, tag_field="type", tag="text_delta"):
    """Add to a text block."""

    text: str


class ThinkingDelta(msgspec.Struct, frozen=True, tag_field="type", tag="thinking_delta"):
    """Add to a thinking block."""

    thinking: str


class SignatureDelta(msgspec.Struct, frozen=True, tag_field="type", tag="signature_delta"):
    """Give a thinking block its signature; the last thing that comes of it."""

    signature: str


class InputJsonDelta(msgspec.Struct, frozen=True, tag_field="type", tag="input_json_delta"):
    """Add to the JSON of a call's input."""

    partial_json: str


Delta: TypeAlias = TextDelta | ThinkingDelta | SignatureDelta | InputJsonDelta


class MessageStart(msgspec.Struct, frozen=True, tag_field="type", tag="message_start"):
    """Open a stream; what of the prompt was cached is told at its end."""

    message: Message


class Ping(msgspec.Struct, frozen=True, tag_field="type", tag="ping"):
    """Mean nothing, in a form that clients count."""


class ContentBlockStart(msgspec.Struct, frozen=True, tag_field="type", tag="content_block_start"):
    """Open a block, which is still empty."""

    index: int
    content_block: ContentBlock


class ContentBlockDelta(msgspec.Struct, frozen=True, tag_field="type", tag="content_block_delta"):
    """Add to the open block."""

    index: int
    delta: Delta


class ContentBlockStop(msgspec.Struct, frozen=True, tag_field="type", tag="content_block_stop"):
    """Close the open block."""

    index: int


class Stop(msgspec.Struct, frozen=True):
    """Say why the answer ended, and which of the caller's stop sequences ended it."""

    stop_reason: str
    stop_sequence: str | None = None


class MessageDelta(msgspec.Struct, frozen=True, tag_field="type", tag="message_delta"):
    """Say how the answer ended; its usage takes the place of the first event's."""

    delta: Stop
    usage: Usage


class MessageStop(msgspec.Struct, frozen=True, tag_field="type", tag="message_stop"):
    """End a stream well."""


StreamEvent: TypeAlias = (
    MessageStart | Ping | ContentBlockStart | ContentBlockDelta | ContentBlockStop | MessageDelta | MessageStop
)  # fmt: skip
