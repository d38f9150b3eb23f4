"""Render the one event stream as Ollama's lines, for a whole answer and for a streamed one alike."""

import time
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field

import msgspec
from msgspec import UNSET, UnsetType
from starlette.responses import Response

from mlxd.protocol import ollama_answer as wire
from mlxd.protocol import render
from mlxd.protocol.dialect import Dialect
from mlxd.workers.api.errors import foreseen
from mlxd.workers.api.wire import encode, json_response
from mlxd.workers.chat.events import (
    EndReason,
    Event,
    Finish,
    ReasoningDelta,
    TextDelta,
    TokenLogprob,
    ToolCallDelta,
)
from mlxd.workers.chat.pipeline import Answers
from mlxd.workers.chat.token_text import TokenText


@dataclass(slots=True)
class Piece:
    """Hold what a line adds to the answer, or the whole of it."""

    text: list[str] = field(default_factory=list)
    thinking: list[str] = field(default_factory=list)
    calls: list[wire.ToolCall] = field(default_factory=list)
    logprobs: list[TokenLogprob] = field(default_factory=list)

    def add(self, event: Event) -> None:
        """Take the next event."""
        match event:
            case TextDelta(text=text, logprobs=logprobs):
                self.text.append(text)
                self.logprobs += logprobs
            case ReasoningDelta(text=text):
                self.thinking.append(text)
            case ToolCallDelta():
                arguments = msgspec.Raw((event.arguments or "{}").encode())
                function = wire.CalledFunction(event.index, event.name, arguments)
                self.calls.append(wire.ToolCall(event.id, function))


class Stopwatch:
    """Tell how long the parts of an answer took, in nanoseconds."""

    def __init__(self, *, queued: int = 0) -> None:
        self._queued = queued
        self._began = self._first = time.perf_counter_ns()
        self._is_first = True

    def read(self) -> None:
        """Note that tokens came; the prompt was read before the first of them."""
        if self._is_first:
            self._is_first, self._first = False, time.perf_counter_ns()

    def totals(self, finish: Finish) -> wire.Totals:
        """Return the end of the answer, which is now."""
        ended = time.perf_counter_ns()
        return wire.Totals(
            done_reason="length" if finish.reason is EndReason.LENGTH else "stop",
            total_duration=self._queued + ended - self._began,
            load_duration=self._queued,
            prompt_eval_count=finish.usage.prompt,
            prompt_eval_duration=self._first - self._began,
            eval_count=finish.usage.completion,
            eval_duration=ended - self._first,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """Hold what is known of an answer before its first token."""

    path: str
    model: str
    token_text: TokenText
    logprobs: bool = False

    def line(self, piece: Piece, totals: wire.Totals | None = None) -> wire.Line:
        """Return a line; the one with totals is the last."""
        text, thinking = "".join(piece.text), "".join(piece.thinking) or UNSET
        told: dict[str, object] = {"model": self.model, "created_at": wire.now()}
        told["logprobs"] = self._logprobs(piece.logprobs)
        if totals is not None:
            told |= {"done": True, **msgspec.structs.asdict(totals)}
        if self.path == GENERATE:
            return wire.GenerateLine(**told, response=text, thinking=thinking)  # type: ignore[arg-type]  # named above
        calls = piece.calls or UNSET
        message = wire.AnswerMessage(content=text, thinking=thinking, tool_calls=calls)
        return wire.ChatLine(**told, message=message)  # type: ignore[arg-type]  # named above

    def _logprobs(self, entries: Sequence[TokenLogprob]) -> list[wire.TokenLogprob] | UnsetType:
        if not self.logprobs or not entries:
            return UNSET
        return [self._logprob(entry) for entry in entries]

    def _logprob(self, entry: TokenLogprob) -> wire.TokenLogprob:
        chosen = self._chosen(entry.token, entry.logprob)
        rivals = [self._chosen(token, logprob) for token, logprob in entry.top]
        return wire.TokenLogprob(chosen.token, chosen.logprob, chosen.bytes, rivals or UNSET)

    def _chosen(self, token: int, logprob: float) -> wire.ChosenToken:
        raw = self.token_text.bytes_of(token)
        return wire.ChosenToken(raw.decode(errors="replace"), logprob, list(raw))


CHAT = "/api/chat"
GENERATE = "/api/generate"


async def whole(answers: Answers, reply: Reply, watch: Stopwatch) -> Response:
    """Return the whole answer as one object."""
    piece, totals = Piece(), None
    async for _, events in answers:
        watch.read()
        for event in events:
            piece.add(event)
            if isinstance(event, Finish):
                totals = watch.totals(event)
    return json_response(reply.line(piece, totals))


async def lines(answers: Answers, reply: Reply, watch: Stopwatch) -> AsyncGenerator[bytes]:
    """Yield the lines of a stream; one that is done comes only at a clean end."""
    try:
        async for _, events in answers:
            watch.read()
            for event in events:
                piece, totals = Piece(), None
                piece.add(event)
                if isinstance(event, Finish):
                    totals = watch.totals(event)
                yield encode(reply.line(piece, totals)) + b"\n"
    except Exception as error:
        yield render.final_event(foreseen(error, reply.path), Dialect.OLLAMA)
