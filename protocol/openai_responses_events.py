"""Describe the events of a streamed response on the wire."""

from collections.abc import Sequence

import msgspec

from mlxd.protocol import sse
from mlxd.protocol.openai_chat import TokenLogprob
from mlxd.protocol.openai_responses_output import (
    OutputItem,
    OutputText,
    ReasoningText,
    Response,
)


class Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """Hold what every event has; numbers count from 0 without a gap."""

    sequence_number: int


class Lifecycle(Event, frozen=True, kw_only=True):
    """Show the response as it stands."""

    response: Response


class Created(Lifecycle, frozen=True, tag="response.created"):
    """Begin a stream."""


class Queued(Lifecycle, frozen=True, tag="response.queued"):
    """Say that a background response waits for its model."""


class InProgress(Lifecycle, frozen=True, tag="response.in_progress"):
    """Say that the response is being worked at; comes again whenever there is nothing else to say."""


class Completed(Lifecycle, frozen=True, tag="response.completed"):
    """End a stream well."""


class Incomplete(Lifecycle, frozen=True, tag="response.incomplete"):
    """End a stream whose answer was cut short."""


class Failed(Lifecycle, frozen=True, tag="response.failed"):
    """End a stream that failed, or was cancelled."""


class OutputEvent(Event, frozen=True, kw_only=True):
    """Hold what every event about an item has."""

    output_index: int


class ItemAdded(OutputEvent, frozen=True, kw_only=True, tag="response.output_item.added"):
    """Begin an item."""

    item: OutputItem


class ItemDone(OutputEvent, frozen=True, kw_only=True, tag="response.output_item.done"):
    """Show a whole item."""

    item: OutputItem


class InsideItem(OutputEvent, frozen=True, kw_only=True):
    """Hold what every event inside an item has."""

    item_id: str


class PartAdded(InsideItem, frozen=True, kw_only=True, tag="response.content_part.added"):
    """Begin a part of an item's content."""

    content_index: int = 0
    part: OutputText | ReasoningText


class PartDone(InsideItem, frozen=True, kw_only=True, tag="response.content_part.done"):
    """Show a whole part."""

    content_index: int = 0
    part: OutputText | ReasoningText


class TextDelta(InsideItem, frozen=True, kw_only=True, tag="response.output_text.delta"):
    """Add to a message."""

    content_index: int = 0
    delta: str
    logprobs: Sequence[TokenLogprob] = ()


class TextDone(InsideItem, frozen=True, kw_only=True, tag="response.output_text.done"):
    """Show a message's whole text."""

    content_index: int = 0
    text: str
    logprobs: Sequence[TokenLogprob] = ()


class ReasoningDelta(InsideItem, frozen=True, kw_only=True, tag="response.reasoning_text.delta"):
    """Add to the reasoning."""

    content_index: int = 0
    delta: str


class ReasoningDone(InsideItem, frozen=True, kw_only=True, tag="response.reasoning_text.done"):
    """Show the whole reasoning."""

    content_index: int = 0
    text: str


class ArgumentsDelta(
    InsideItem, frozen=True, kw_only=True, tag="response.function_call_arguments.delta"
):
    """Add to a call's arguments."""

    delta: str


class ArgumentsDone(
    InsideItem, frozen=True, kw_only=True, tag="response.function_call_arguments.done"
):
    """Show a call's whole arguments."""

    name: str
    arguments: str


class InputDelta(
    InsideItem, frozen=True, kw_only=True, tag="response.custom_tool_call_input.delta"
):
    """Add to a custom tool's input."""

    delta: str


class InputDone(InsideItem, frozen=True, kw_only=True, tag="response.custom_tool_call_input.done"):
    """Show a custom tool's whole input."""

    input: str


BEGINNINGS = frozenset({"response.created", "response.queued", "response.in_progress"})
"""Names of the events that say nothing of the answer yet."""
ENDS = frozenset({"response.completed", "response.incomplete", "response.failed"})
"""Names of the events that are the last of their stream."""

_encoder = msgspec.json.Encoder()


def frame(event: Event) -> bytes:
    """Return the event as a frame of the stream."""
    return sse.event(_encoder.encode(event), str(event.__struct_config__.tag))
