"""Describe the blocks of an Anthropic conversation on the wire: what a message, a tool result, a document may hold.

`cache_control` may stand on any of them and changes nothing: every prompt is cached. So do fields nobody here knows.
"""

from typing import TypeAlias

import msgspec


class Citations(msgspec.Struct, frozen=True):
    """Ask for citations; they are known and not implemented."""

    enabled: bool | None = None


class Text(msgspec.Struct, frozen=True, tag_field="type", tag="text"):
    """Hold text."""

    text: str


class Image(msgspec.Struct, frozen=True, tag_field="type", tag="image"):
    """Hold a picture, in whatever way its source says."""

    source: dict[str, object]


class PlainSource(msgspec.Struct, frozen=True, tag_field="type", tag="text"):
    """Hold a document's text itself."""

    data: str
    media_type: str | None = None


class BlockSource(msgspec.Struct, frozen=True, tag_field="type", tag="content"):
    """Hold a document as blocks."""

    content: str | list[Text | Image]


class Base64Source(msgspec.Struct, frozen=True, tag_field="type", tag="base64"):
    """Hold a document in a binary format."""

    data: str
    media_type: str | None = None


class UrlSource(msgspec.Struct, frozen=True, tag_field="type", tag="url"):
    """Point at a document elsewhere."""

    url: str


class FileSource(msgspec.Struct, frozen=True, tag_field="type", tag="file"):
    """Point at a document uploaded before."""

    file_id: str


Source: TypeAlias = PlainSource | BlockSource | Base64Source | UrlSource | FileSource


class Document(msgspec.Struct, frozen=True, tag_field="type", tag="document"):
    """Hold a document with what its sender says about it."""

    source: Source
    title: str | None = None
    context: str | None = None
    citations: Citations | None = None


class SearchResult(msgspec.Struct, frozen=True, tag_field="type", tag="search_result"):
    """Hold what the caller's own search found."""

    source: str
    title: str
    content: list[Text]
    citations: Citations | None = None


class ToolReference(msgspec.Struct, frozen=True, tag_field="type", tag="tool_reference"):
    """Name a tool that the caller's own search found; all tools are in the prompt anyway."""

    tool_name: str


class Thinking(msgspec.Struct, frozen=True, tag_field="type", tag="thinking"):
    """Hold reasoning of an earlier turn; nobody checks the signature."""

    thinking: str
    signature: str | None = None


class RedactedThinking(msgspec.Struct, frozen=True, tag_field="type", tag="redacted_thinking"):
    """Hold reasoning that only the service which wrote it can read."""

    data: str


class ToolUse(msgspec.Struct, frozen=True, tag_field="type", tag="tool_use"):
    """Hold a call the assistant made earlier."""

    id: str
    name: str
    input: dict[str, object]


class ToolResult(msgspec.Struct, frozen=True, tag_field="type", tag="tool_result"):
    """Hold what a call gave."""

    tool_use_id: str
    content: str | list[Text | Image | Document | SearchResult | ToolReference] | None = None
    is_error: bool | None = None


Block: TypeAlias = (
    Text | Image | Document | SearchResult | ToolReference
    | Thinking | RedactedThinking | ToolUse | ToolResult
)  # fmt: skip
