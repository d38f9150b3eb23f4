"""Serve the older Completions: prompts in, plain text out."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field, replace

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from mlxd.protocol import openai_completions as wire
from mlxd.protocol import render, sse
from mlxd.protocol.dialect import Dialect
from mlxd.protocol.openai_fields import Usage as WireUsage
from mlxd.workers.api.errors import foreseen
from mlxd.workers.api.openai_logprobs import for_completion
from mlxd.workers.api.openai_output import output
from mlxd.workers.api.openai_shared import Stamp, controls, stamp, total_usage, wants_usage
from mlxd.workers.api.wire import EventStream, encode, json_response, unless_gone
from mlxd.workers.chat.events import Finish, TextDelta, TokenLogprob, Usage
from mlxd.workers.chat.pipeline import Answers, Pipeline
from mlxd.workers.chat.request import CompletionRequest
from mlxd.workers.model import TextModel


async def create(request: Request) -> Response:
    """Answer `POST /v1/completions`."""
    pipeline: Pipeline = request.app.state.pipeline
    body = wire.decode(await request.body())
    asked = translate(body, pipeline.model)

    async def queue() -> tuple[list[str], Answers]:
        echoes = await _echoes(body, asked, pipeline)
        return echoes, await pipeline.complete(asked)

    echoes, answers = await unless_gone(request, queue)
    head = stamp("cmpl", pipeline.model.spec.model_id)
    if body.stream:
        return EventStream(_frames(answers, head, pipeline, body, echoes), answers)
    async with answers:
        return await unless_gone(request, lambda: _whole(answers, head, pipeline, body, echoes))


def translate(body: wire.CompletionRequest, model: TextModel) -> CompletionRequest:
    """Turn a body into prompts and controls; raises CallerError naming the field at fault."""
    prompts = wire.prompts(body.prompt)
    shared = controls(body, max_tokens=body.max_tokens, logprobs=body.logprobs, model=model)
    return CompletionRequest(
        prompts=tuple(item if isinstance(item, str) else tuple(item) for item in prompts),
        controls=replace(shared, output=output(body)),
    )


async def _echoes(
    body: wire.CompletionRequest, asked: CompletionRequest, pipeline: Pipeline
) -> list[str]:
    """Return, for each answer, the text to repeat before it."""
    if not body.echo:
        return [""] * (len(asked.prompts) * asked.controls.choices)
    texts: list[str] = []
    for prompt in asked.prompts:
        text = prompt if isinstance(prompt, str) else await pipeline.plain_text(prompt)
        texts += [text] * asked.controls.choices
    return texts


@dataclass(slots=True)
class _Draft:
    """Gather the events of one answer."""

    text: list[str] = field(default_factory=list)
    logprobs: list[TokenLogprob] = field(default_factory=list)
    finish: Finish | None = None


async def _whole(
    answers: Answers,
    head: Stamp,
    pipeline: Pipeline,
    body: wire.CompletionRequest,
    echoes: Sequence[str],
) -> Response:
    drafts = [_Draft([echo]) for echo in echoes]
    async for index, events in answers:
        for event in events:
            if isinstance(event, TextDelta):
                drafts[index].text.append(event.text)
                drafts[index].logprobs += event.logprobs
            elif isinstance(event, Finish):
                drafts[index].finish = event
    finished = [(draft, draft.finish) for draft in drafts if draft.finish is not None]
    with_logprobs = body.logprobs is not None
    choices = [
        wire.CompletionChoice(
            index=index,
            text="".join(draft.text),
            logprobs=for_completion(draft.logprobs, pipeline.token_text, 0)
            if with_logprobs
            else None,
            finish_reason=finish.reason.value,
        )
        for index, (draft, finish) in enumerate(finished)
    ]
    usage = total_usage([finish.usage for _, finish in finished], body.n or 1)
    return json_response(_completion(head, choices, usage))


async def _frames(
    answers: Answers,
    head: Stamp,
    pipeline: Pipeline,
    body: wire.CompletionRequest,
    echoes: Sequence[str],
) -> AsyncGenerator[bytes]:
    """Yield the frames of a stream; `[DONE]` comes only at a clean end."""
    with_usage = wants_usage(body)
    offsets = [0] * len(echoes)
    usages: dict[int, Usage] = {}

    def frame(choice: wire.CompletionChoice) -> bytes:
        return sse.event(encode(_completion(head, [choice], None if with_usage else msgspec.UNSET)))

    def render_event(index: int, event: TextDelta | Finish) -> bytes:
        if isinstance(event, Finish):
            usages[index] = event.usage
            return frame(
                wire.CompletionChoice(index=index, text="", finish_reason=event.reason.value)
            )
        shown = None
        if body.logprobs is not None:
            shown = for_completion(event.logprobs, pipeline.token_text, offsets[index])
            offsets[index] += sum(len(token) for token in shown.tokens)
        return frame(wire.CompletionChoice(index=index, text=event.text, logprobs=shown))

    try:
        for index, echo in enumerate(echoes):
            yield frame(wire.CompletionChoice(index=index, text=echo))
        async for index, events in answers:
            for event in events:
                if isinstance(event, TextDelta | Finish):
                    yield render_event(index, event)
    except Exception as error:
        yield render.final_event(foreseen(error, "/v1/completions"), Dialect.OPENAI)
        return
    if with_usage:
        usage = total_usage([usages[index] for index in range(len(echoes))], body.n or 1)
        yield sse.event(encode(_completion(head, [], usage)))
    yield sse.DONE


def _completion(
    head: Stamp,
    choices: list[wire.CompletionChoice],
    usage: WireUsage | msgspec.UnsetType | None,
) -> wire.Completion:
    return wire.Completion(
        id=head.id, created=head.created, model=head.model, choices=choices, usage=usage
    )
