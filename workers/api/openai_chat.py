"""Serve Chat Completions: a body in, events out as one body or as a stream of chunks."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field, replace

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from mlxd.protocol import openai_chat as wire
from mlxd.protocol import render, sse
from mlxd.protocol.dialect import Dialect
from mlxd.protocol.openai_fields import Usage as WireUsage
from mlxd.workers.api.errors import foreseen
from mlxd.workers.api.openai_logprobs import for_chat
from mlxd.workers.api.openai_output import output
from mlxd.workers.api.openai_shared import Stamp, controls, stamp, total_usage, wants_usage
from mlxd.workers.api.openai_tools import must_call, tools
from mlxd.workers.api.openai_turns import turns
from mlxd.workers.api.template_options import template_options
from mlxd.workers.api.wire import EventStream, encode, json_response, unless_gone
from mlxd.workers.chat.events import (
    Event,
    Finish,
    ReasoningDelta,
    TextDelta,
    TokenLogprob,
    ToolCallDelta,
    Usage,
)
from mlxd.workers.chat.pipeline import Answers, Pipeline
from mlxd.workers.chat.request import ChatRequest


async def create(request: Request) -> Response:
    """Answer `POST /v1/chat/completions`."""
    pipeline: Pipeline = request.app.state.pipeline
    body = wire.decode(await request.body())
    asked = translate(body, pipeline)
    answers = await unless_gone(request, lambda: pipeline.chat(asked))
    head = stamp("chatcmpl", pipeline.model.spec.model_id)
    if body.stream:
        return EventStream(_frames(answers, head, pipeline, body), answers)
    async with answers:
        return await unless_gone(request, lambda: _whole(answers, head, pipeline, body))


def translate(body: wire.ChatCompletionRequest, pipeline: Pipeline) -> ChatRequest:
    """Turn a body into the request every dialect makes; raises CallerError naming the field at fault."""
    logprobs = (body.top_logprobs or 0) if body.logprobs else None
    max_tokens = body.max_completion_tokens or body.max_tokens
    shared = controls(body, max_tokens=max_tokens, logprobs=logprobs, model=pipeline.model)
    return ChatRequest(
        turns=turns(body.messages),
        tools=tools(body, callable_here=pipeline.reads_calls),
        must_call=must_call(body),
        parallel_calls=body.parallel_tool_calls is not False,
        template_options=template_options(
            body.reasoning_effort, body.chat_template_kwargs, field="reasoning_effort"
        ),
        controls=replace(shared, output=output(body)),
    )


@dataclass(slots=True)
class _Draft:
    """Gather the events of one answer into a whole message."""

    text: list[str] = field(default_factory=list)
    reasoning: list[str] = field(default_factory=list)
    calls: list[wire.ToolCall] = field(default_factory=list)
    logprobs: list[TokenLogprob] = field(default_factory=list)
    finish: Finish | None = None

    def add(self, events: Sequence[Event]) -> None:
        """Take the next events."""
        for event in events:
            match event:
                case TextDelta():
                    self.text.append(event.text)
                    self.logprobs += event.logprobs
                case ReasoningDelta():
                    self.reasoning.append(event.text)
                case ToolCallDelta():
                    called = wire.ToolCallFunction(event.name, event.arguments)
                    self.calls.append(wire.ToolCall(event.id, called))
                case Finish():
                    self.finish = event

    def message(self) -> wire.ResponseMessage:
        """Return the message as it stands."""
        return wire.ResponseMessage(
            content="".join(self.text) or (None if self.calls else ""),
            reasoning_content="".join(self.reasoning) or msgspec.UNSET,
            tool_calls=self.calls or msgspec.UNSET,
        )


async def _whole(
    answers: Answers, head: Stamp, pipeline: Pipeline, body: wire.ChatCompletionRequest
) -> Response:
    drafts = [_Draft() for _ in range(len(answers))]
    async for index, events in answers:
        drafts[index].add(events)
    finished = [(draft, draft.finish) for draft in drafts if draft.finish is not None]
    choices = [
        wire.Choice(
            index=index,
            message=draft.message(),
            logprobs=for_chat(draft.logprobs, pipeline.token_text) if body.logprobs else None,
            finish_reason=finish.reason,
        )
        for index, (draft, finish) in enumerate(finished)
    ]
    usage = total_usage([finish.usage for _, finish in finished], body.n or 1)
    completion = wire.ChatCompletion(
        id=head.id, created=head.created, model=head.model, choices=choices, usage=usage
    )
    return json_response(completion)


async def _frames(
    answers: Answers, head: Stamp, pipeline: Pipeline, body: wire.ChatCompletionRequest
) -> AsyncGenerator[bytes]:
    """Yield the frames of a stream; `[DONE]` comes only at a clean end."""
    with_usage = wants_usage(body)

    def frame(*choices: wire.ChunkChoice) -> bytes:
        usage = None if with_usage else msgspec.UNSET
        return sse.event(encode(_chunk(head, list(choices), usage)))

    usages: dict[int, Usage] = {}
    try:
        for index in range(len(answers)):
            opening = wire.Delta(role="assistant", content="")
            yield frame(wire.ChunkChoice(index=index, delta=opening))
        async for index, events in answers:
            for event in events:
                if isinstance(event, Finish):
                    usages[index] = event.usage
                yield frame(_choice(index, event, pipeline, bool(body.logprobs)))
    except Exception as error:
        shown = foreseen(error, "/v1/chat/completions")
        yield render.final_event(shown, Dialect.OPENAI)
        return
    if with_usage:
        usage = total_usage([usages[index] for index in range(len(answers))], body.n or 1)
        yield sse.event(encode(_chunk(head, [], usage)))
    yield sse.DONE


def _chunk(
    head: Stamp, choices: list[wire.ChunkChoice], usage: WireUsage | msgspec.UnsetType | None
) -> wire.ChatCompletionChunk:
    return wire.ChatCompletionChunk(
        id=head.id, created=head.created, model=head.model, choices=choices, usage=usage
    )


def _choice(index: int, event: Event, pipeline: Pipeline, logprobs: bool) -> wire.ChunkChoice:
    match event:
        case TextDelta():
            shown = for_chat(event.logprobs, pipeline.token_text) if logprobs else None
            return wire.ChunkChoice(
                index=index, delta=wire.Delta(content=event.text), logprobs=shown
            )
        case ReasoningDelta():
            return wire.ChunkChoice(index=index, delta=wire.Delta(reasoning_content=event.text))
        case ToolCallDelta():
            called = wire.ToolCallFunction(event.name, event.arguments)
            call = wire.ToolCallChunk(event.index, event.id, called)
            return wire.ChunkChoice(index=index, delta=wire.Delta(tool_calls=[call]))
        case Finish():
            return wire.ChunkChoice(
                index=index, delta=wire.Delta(), finish_reason=event.reason.value
            )
