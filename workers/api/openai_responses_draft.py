"""Cut the one event stream into the items of a response, for a whole answer and for a streamed one alike."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import msgspec

from mlxd.protocol import openai_responses_events as events
from mlxd.protocol import openai_responses_output as wire
from mlxd.protocol.openai_chat import TokenLogprob as WireLogprob
from mlxd.protocol.openai_responses_items import seal
from mlxd.workers.api.openai_responses_calls import begun, call_events, ended
from mlxd.workers.api.openai_responses_tools import Callee, Toolbox
from mlxd.workers.chat.events import (
    EndReason,
    Event,
    Finish,
    ReasoningDelta,
    TextDelta,
    TokenLogprob,
    ToolCallDelta,
)

ShowLogprobs = Callable[[Sequence[TokenLogprob]], list[WireLogprob]]


@dataclass(slots=True)
class _Open:
    """Gather the item that is being written."""

    kind: type[TextDelta] | type[ReasoningDelta] | type[ToolCallDelta]
    id: str
    parts: list[str] = field(default_factory=list)
    logprobs: list[WireLogprob] = field(default_factory=list)
    call: int | None = None
    call_id: str = ""
    callee: Callee | None = None

    @property
    def text(self) -> str:
        """Return what was written so far."""
        return "".join(self.parts)


class Draft:
    """Turn events into the events of a response; each item is opened, added to and closed before the next one."""

    def __init__(
        self,
        toolbox: Toolbox,
        *,
        numbers: Iterator[int],
        new_id: Callable[[str], str],
        show_logprobs: ShowLogprobs | None = None,
        seals_reasoning: bool = False,
    ) -> None:
        self.output: list[wire.OutputItem] = []
        """The items that are whole."""
        self.finish: Finish | None = None
        self._toolbox = toolbox
        self._numbers = numbers
        self._new_id = new_id
        self._show_logprobs = show_logprobs
        self._seals_reasoning = seals_reasoning
        self._open: _Open | None = None

    def add(self, news: Sequence[Event]) -> Iterator[events.Event]:
        """Yield what these events become; every one of them must be asked for."""
        for event in news:
            if isinstance(event, Finish):
                yield from self._end(event)
                return
            if self._is_new(event):
                yield from self._close("completed")
                yield from self._begin(event)
            yield from self._grow(event)

    def response(self, opening: wire.Response, *, now: int) -> wire.Response:
        """Return the finished response."""
        assert self.finish is not None
        used = self.finish.usage
        cut = self.finish.reason is EndReason.LENGTH
        return msgspec.structs.replace(
            opening,
            status="incomplete" if cut else "completed",
            completed_at=None if cut else now,
            incomplete_details=wire.IncompleteDetails("max_output_tokens") if cut else None,
            output=self.output,
            usage=wire.Usage(
                input_tokens=used.prompt,
                input_tokens_details=wire.InputTokensDetails(used.cached),
                output_tokens=used.completion,
                output_tokens_details=wire.OutputTokensDetails(used.reasoning),
                total_tokens=used.prompt + used.completion,
            ),
        )

    def _is_new(self, event: TextDelta | ReasoningDelta | ToolCallDelta) -> bool:
        if self._open is None or self._open.kind is not type(event):
            return True
        return isinstance(event, ToolCallDelta) and event.index != self._open.call

    def _begin(self, event: TextDelta | ReasoningDelta | ToolCallDelta) -> Iterator[events.Event]:
        item: wire.OutputItem
        match event:
            case TextDelta():
                item = wire.Message(self._new_id("msg"), "in_progress", ())
            case ReasoningDelta():
                item = wire.Reasoning(self._new_id("rs"), "in_progress", ())
            case ToolCallDelta():
                callee = self._toolbox.callee(event.name)
                item = begun(callee, self._new_id, event.id)
        self._open = _Open(type(event), item.id)
        if isinstance(event, ToolCallDelta):
            self._open.call, self._open.call_id, self._open.callee = event.index, event.id, callee
        at = len(self.output)
        yield events.ItemAdded(sequence_number=next(self._numbers), output_index=at, item=item)
        if not isinstance(event, ToolCallDelta):
            kind = wire.OutputText if isinstance(event, TextDelta) else wire.ReasoningText
            yield events.PartAdded(
                sequence_number=next(self._numbers),
                output_index=at,
                item_id=item.id,
                part=kind(""),
            )

    def _grow(self, event: TextDelta | ReasoningDelta | ToolCallDelta) -> Iterator[events.Event]:
        now = self._open
        assert now is not None
        now.parts.append(event.arguments if isinstance(event, ToolCallDelta) else event.text)
        at = len(self.output)
        match event:
            case TextDelta():
                shown = self._show_logprobs(event.logprobs) if self._show_logprobs else []
                now.logprobs += shown
                yield events.TextDelta(
                    sequence_number=next(self._numbers),
                    output_index=at,
                    item_id=now.id,
                    delta=event.text,
                    logprobs=shown,
                )
            case ReasoningDelta():
                yield events.ReasoningDelta(
                    sequence_number=next(self._numbers),
                    output_index=at,
                    item_id=now.id,
                    delta=event.text,
                )
            case ToolCallDelta():
                pass

    def _end(self, finish: Finish) -> Iterator[events.Event]:
        yield from self._close("incomplete" if finish.reason is EndReason.LENGTH else "completed")
        if not self.output:
            # Clients look for the answer in a message, also where it is empty.
            yield from self._begin(TextDelta(""))
            yield from self._close("completed")
        self.finish = finish

    def _close(self, status: str) -> Iterator[events.Event]:
        now, self._open = self._open, None
        if now is None:
            return
        at = len(self.output)
        item: wire.OutputItem
        if now.callee is not None:
            item = ended(now.callee, now.id, now.call_id, now.text)
            yield from call_events(item, at, self._numbers)
        elif now.kind is ReasoningDelta:
            item = self._whole_reasoning(now, status)
            yield from self._part_events(now, item.content[0], at)
        else:
            text = wire.OutputText(now.text, logprobs=now.logprobs)
            item = wire.Message(now.id, status, (text,))
            yield from self._part_events(now, text, at)
        self.output.append(item)
        yield events.ItemDone(sequence_number=next(self._numbers), output_index=at, item=item)

    def _whole_reasoning(self, now: _Open, status: str) -> wire.Reasoning:
        sealed = seal(now.text) if self._seals_reasoning else msgspec.UNSET
        content = (wire.ReasoningText(now.text),)
        return wire.Reasoning(now.id, status, content, encrypted_content=sealed)

    def _part_events(
        self, now: _Open, part: wire.OutputText | wire.ReasoningText, at: int
    ) -> Iterator[events.Event]:
        if isinstance(part, wire.OutputText):
            yield events.TextDone(
                sequence_number=next(self._numbers),
                output_index=at,
                item_id=now.id,
                text=part.text,
                logprobs=part.logprobs,
            )
        else:
            yield events.ReasoningDone(
                sequence_number=next(self._numbers),
                output_index=at,
                item_id=now.id,
                text=part.text,
            )
        yield events.PartDone(
            sequence_number=next(self._numbers), output_index=at, item_id=now.id, part=part
        )
