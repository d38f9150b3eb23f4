"""Cut the one event stream into Anthropic's content blocks, for a whole answer and for a streamed one alike."""

from base64 import b64encode
from collections.abc import Iterator, Sequence
from hashlib import sha256
from typing import Any

import msgspec

from mlxd.protocol import anthropic_answer as wire
from mlxd.workers.chat.events import Event, Finish, ReasoningDelta, TextDelta, ToolCallDelta

BlockEvent = wire.ContentBlockStart | wire.ContentBlockDelta | wire.ContentBlockStop

_KINDS = {
    TextDelta: wire.TextBlock,
    ReasoningDelta: wire.ThinkingBlock,
    ToolCallDelta: wire.ToolUseBlock,
}


class BlockCutter:
    """Turn events into the events of blocks: each block is opened, added to and closed before the next one.

    With `shows_thinking` false a thinking block keeps its place and its signature and loses its text.
    """

    def __init__(self, *, shows_thinking: bool = True) -> None:
        self.finish: Finish | None = None
        self._shows_thinking = shows_thinking
        self._index = -1
        self._open: type[wire.ContentBlock] | None = None
        self._call: int | None = None
        self._seal = sha256()

    def cut(self, events: Sequence[Event]) -> Iterator[BlockEvent]:
        """Yield what these events become."""
        for event in events:
            if isinstance(event, Finish):
                self.finish = event
                yield from self._close()
                return
            if self._is_new(event):
                yield from self._close()
                yield self._begin(event)
            yield from self._add(event)

    def _is_new(self, event: TextDelta | ReasoningDelta | ToolCallDelta) -> bool:
        if isinstance(event, ToolCallDelta) and event.index != self._call:
            return True
        return self._open is not _KINDS[type(event)]

    def _begin(self, event: TextDelta | ReasoningDelta | ToolCallDelta) -> BlockEvent:
        self._index += 1
        self._call = None
        block: wire.ContentBlock
        match event:
            case TextDelta():
                block = wire.TextBlock("")
            case ReasoningDelta():
                self._seal = sha256()
                block = wire.ThinkingBlock("", "")
            case ToolCallDelta():
                self._call = event.index
                block = wire.ToolUseBlock(tool_use_id(event.id), event.name, {})
        self._open = type(block)
        return wire.ContentBlockStart(self._index, block)

    def _add(self, event: TextDelta | ReasoningDelta | ToolCallDelta) -> Iterator[BlockEvent]:
        match event:
            case TextDelta(text=text):
                yield self._delta(wire.TextDelta(text))
            case ReasoningDelta(text=text):
                self._seal.update(text.encode())
                if self._shows_thinking:
                    yield self._delta(wire.ThinkingDelta(text))
            case ToolCallDelta(arguments=arguments):
                yield self._delta(wire.InputJsonDelta(arguments))

    def _close(self) -> Iterator[BlockEvent]:
        if self._open is None:
            return
        if self._open is wire.ThinkingBlock:
            yield self._delta(wire.SignatureDelta(b64encode(self._seal.digest()).decode()))
        self._open = None
        yield wire.ContentBlockStop(self._index)

    def _delta(self, delta: wire.Delta) -> BlockEvent:
        return wire.ContentBlockDelta(self._index, delta)


class Draft:
    """Put the events of blocks together into the content of a whole answer."""

    def __init__(self) -> None:
        self.content: list[wire.ContentBlock] = []
        self._parts: list[str] = []
        self._signature = ""

    def add(self, event: BlockEvent) -> None:
        """Take the next event."""
        match event:
            case wire.ContentBlockStart(content_block=block):
                self.content.append(block)
                self._parts, self._signature = [], ""
            case wire.ContentBlockDelta(delta=delta):
                self._take(delta)
            case wire.ContentBlockStop():
                self.content[-1] = self._whole(self.content[-1])

    def _take(self, delta: wire.Delta) -> None:
        match delta:
            case wire.TextDelta(text=part) | wire.ThinkingDelta(thinking=part):
                self._parts.append(part)
            case wire.InputJsonDelta(partial_json=part):
                self._parts.append(part)
            case wire.SignatureDelta(signature=signature):
                self._signature = signature

    def _whole(self, block: wire.ContentBlock) -> wire.ContentBlock:
        text = "".join(self._parts)
        match block:
            case wire.TextBlock():
                return wire.TextBlock(text)
            case wire.ThinkingBlock():
                return wire.ThinkingBlock(text, self._signature)
            case wire.ToolUseBlock(id=call_id, name=name):
                return wire.ToolUseBlock(call_id, name, _object(text))


def tool_use_id(call_id: str) -> str:
    """Return a call's id the way Anthropic's look; one that the model itself chose stays."""
    rest = call_id.removeprefix("call_")
    return call_id if rest == call_id else f"toolu_{rest}"


def _object(text: str) -> dict[str, Any]:
    return msgspec.json.decode(text, type=dict[str, Any]) if text else {}
