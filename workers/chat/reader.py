"""Turn the tokens of one row into events; pure, so that every split of an answer can be tried."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol
from uuid import uuid4

from mlxd.workers.chat.events import (
    EndReason,
    Event,
    Finish,
    ReasoningDelta,
    TextDelta,
    TokenLogprob,
    ToolCallDelta,
    Usage,
)
from mlxd.workers.chat.formats import Splits
from mlxd.workers.chat.markup import Kind, Piece
from mlxd.workers.engine.request import FinishReason, TokenOutput
from mlxd.workers.engine.stops import StopStrings


class Detokenizes(Protocol):
    """Turn tokens into text that never breaks a character."""

    def add(self, token: int) -> str:
        """Return the text this token settles."""
        ...

    def finish(self) -> str:
        """Return what is still held."""
        ...


@dataclass(slots=True)
class _Position:
    """Remember where a token's text stands in the model's text."""

    start: int
    end: int
    entry: TokenLogprob


class Reader:
    """Read one row; `splitter` is None where the text has no parts, as in plain completions."""

    def __init__(
        self,
        *,
        detokenizer: Detokenizes,
        prompt_tokens: int,
        splitter: Splits | None = None,
        stops: Sequence[str] = (),
        logprobs: bool = False,
        parallel_calls: bool = True,
    ) -> None:
        self.done = False
        """An event of class Finish has come out."""
        self._detokenizer = detokenizer
        self.prompt_tokens = prompt_tokens
        self._splitter = splitter
        self._stop_strings = tuple(stops)
        self._stops = StopStrings(self._stop_strings)
        self._parallel_calls = parallel_calls
        self._length = 0
        self._completion = self._reasoning = self._calls = 0
        self._positions: deque[_Position] | None = deque() if logprobs else None
        self._waiting: deque[tuple[int, TokenLogprob]] = deque()
        self._text_fed = self._text_out = 0

    def read(self, outputs: Sequence[TokenOutput], cached: int = 0) -> list[Event]:
        """Return what these tokens settle; nothing after `done`."""
        events: list[Event] = []
        for output in outputs:
            if self.done:
                break
            reason = self._read_token(output, events)
            if reason is not None:
                self._finish(events, reason, cached)
        return events

    def _read_token(self, output: TokenOutput, events: list[Event]) -> EndReason | None:
        """Take one token; returns why the answer ends where it does."""
        self._completion += 1
        if self._splitter is not None and self._splitter.in_reasoning:
            self._reasoning += 1
        ended = output.finish_reason is FinishReason.STOP
        text = "" if ended else self._detokenizer.add(output.token)
        if self._positions is not None and output.logprob is not None and not ended:
            entry = TokenLogprob(output.token, output.logprob, output.top_logprobs)
            self._positions.append(_Position(self._length, self._length, entry))
        if output.finish_reason is not None:
            text += self._detokenizer.finish()
        reason = self._take(self._split(text), events)
        if reason is not None or output.finish_reason is None:
            return reason
        whole = output.finish_reason is not FinishReason.LENGTH
        if self._splitter is not None:
            reason = self._take(self._splitter.finish(complete=whole), events)
        if reason is not None:
            return reason
        self._flush_text(events)
        return EndReason.STOP if whole else EndReason.LENGTH

    def _split(self, text: str) -> Sequence[Piece]:
        if not text:
            return ()
        start = self._length
        self._length += len(text)
        for position in reversed(self._positions or ()):
            if position.start < start:
                break
            position.end = self._length
        return (
            (Piece(Kind.TEXT, text, start),)
            if self._splitter is None
            else self._splitter.feed(text)
        )

    def _take(self, pieces: Sequence[Piece], events: list[Event]) -> EndReason | None:
        for piece in pieces:
            if piece.kind is Kind.TEXT:
                if self._take_text(piece, events):
                    return EndReason.STOP
                continue
            self._flush_text(events)
            if piece.kind is Kind.REASONING:
                _add(events, ReasoningDelta(piece.text))
            elif self._take_calls(piece, events):
                return EndReason.STOP
        return None

    def _take_text(self, piece: Piece, events: list[Event]) -> bool:
        """Pass text through the stop strings; says whether one was hit."""
        self._place(piece)
        text, hit = self._stops.feed(piece.text) if self._stop_strings else (piece.text, False)
        self._send_text(text, events)
        return hit

    def _take_calls(self, piece: Piece, events: list[Event]) -> bool:
        """Send the calls; says whether the answer ends here because no second call is wanted."""
        for call in piece.calls:
            call_id = call.id or f"call_{uuid4().hex[:24]}"
            events.append(ToolCallDelta(self._calls, call_id, call.name, call.arguments))
            self._calls += 1
            if not self._parallel_calls:
                return True
        return False

    def _flush_text(self, events: list[Event]) -> None:
        """End a run of text: a stop string never spans what came between two runs."""
        if self._stop_strings:
            self._send_text(self._stops.finish(), events)
            self._stops = StopStrings(self._stop_strings)

    def _send_text(self, text: str, events: list[Event]) -> None:
        self._text_out += len(text)
        if not text:
            return
        logprobs: list[TokenLogprob] = []
        while self._waiting and self._waiting[0][0] < self._text_out:
            logprobs.append(self._waiting.popleft()[1])
        _add(events, TextDelta(text, tuple(logprobs)))

    def _place(self, piece: Piece) -> None:
        """Give each token of this piece its place in the visible text, and drop those of markers and reasoning."""
        end = piece.start + len(piece.text)
        while self._positions and self._positions[0].start < end:
            position = self._positions.popleft()
            if position.start >= piece.start or position.end > piece.start:
                offset = max(0, position.start - piece.start)
                self._waiting.append((self._text_fed + offset, position.entry))
        self._text_fed += len(piece.text)

    def _finish(self, events: list[Event], reason: EndReason, cached: int) -> None:
        if reason is EndReason.STOP and self._calls:
            reason = EndReason.TOOL_CALLS
        usage = Usage(self.prompt_tokens, self._completion, cached, self._reasoning)
        stop = self._stops.hit if reason is EndReason.STOP else None
        events.append(Finish(reason, usage, stop))
        self.done = True


def _add(events: list[Event], event: TextDelta | ReasoningDelta) -> None:
    """Append a delta, or grow the last one: tokens that waited for a slow client leave together."""
    last = events[-1] if events else None
    match last, event:
        case TextDelta(), TextDelta():
            events[-1] = TextDelta(last.text + event.text, last.logprobs + event.logprobs)
        case ReasoningDelta(), ReasoningDelta():
            events[-1] = replace(last, text=last.text + event.text)
        case _:
            events.append(event)
