"""Serve Responses: a body in, items out as one response or as a stream of events."""

import itertools
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from dataclasses import dataclass, replace
from uuid import uuid4

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from mlxd.protocol import openai_responses as wire
from mlxd.protocol import openai_responses_events as events
from mlxd.protocol.errors import CallerError, InvalidRequest, UnsupportedField
from mlxd.protocol.openai_responses_output import Response as WireResponse
from mlxd.protocol.openai_responses_output import failed, opening
from mlxd.workers.api.errors import foreseen
from mlxd.workers.api.openai_logprobs import for_chat
from mlxd.workers.api.openai_responses_draft import Draft, ShowLogprobs
from mlxd.workers.api.openai_responses_tools import Toolbox, chosen, toolbox
from mlxd.workers.api.openai_responses_turns import transcript
from mlxd.workers.api.openai_shared import controls
from mlxd.workers.api.pauses import with_pauses
from mlxd.workers.api.template_options import template_options
from mlxd.workers.api.wire import EventStream, json_response, unless_gone
from mlxd.workers.chat.output_format import JsonObject, JsonSchema, OutputFormat
from mlxd.workers.chat.pipeline import Answers, Pipeline
from mlxd.workers.chat.request import ChatRequest

PATH = "/v1/responses"
_LOGPROBS = "message.output_text.logprobs"
_SEALED = "reasoning.encrypted_content"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """Hold what is known of a response before its first token."""

    opening: WireResponse
    first: int
    """Number of the first event; the client has those before it from the supervisor."""
    pause: float | None
    draft: Draft
    numbers: Iterator[int]


async def create(request: Request) -> Response:
    """Answer `POST /v1/responses`."""
    pipeline: Pipeline = request.app.state.pipeline
    body = wire.decode(await request.body())
    asked, tools = translate(body, pipeline)
    try:
        answers = await unless_gone(request, lambda: pipeline.chat(asked))
    except CallerError as error:
        raise _in_our_words(error) from error
    reply = _reply(request, body, tools, pipeline)
    if body.stream:
        return EventStream(_frames(answers, reply), answers)
    async with answers:
        return await unless_gone(request, lambda: _whole(answers, reply))


def translate(body: wire.ResponsesRequest, pipeline: Pipeline) -> tuple[ChatRequest, Toolbox]:
    """Turn a body into the request every dialect makes, with what its tools mean; raises CallerError."""
    try:
        found = transcript(body.input, body.instructions)
        given = [(f"tools[{index}]", spec) for index, spec in enumerate(body.tools or ())]
        offered = toolbox([*given, *found.tools])
        tools, must_call = chosen(offered, body.tool_choice)
    except RecursionError:
        raise InvalidRequest("the body is nested too deeply") from None
    if tools and not pipeline.reads_calls:
        raise UnsupportedField("tools", "the model's chat template has no tool calls mlxd can read")
    shared = controls(
        body,
        max_tokens=body.max_output_tokens or body.max_tokens,
        logprobs=(body.top_logprobs or 0) if _wants_logprobs(body) else None,
        model=pipeline.model,
    )
    request = ChatRequest(
        turns=tuple(found.turns),
        tools=tools,
        must_call=must_call,
        parallel_calls=body.parallel_tool_calls is not False,
        overflow=body.overflow,
        template_options=template_options(
            body.reasoning.effort if body.reasoning is not None else None,
            body.chat_template_kwargs,
            field="reasoning.effort",
        ),
        controls=replace(shared, output=_output(body)),
    )
    return request, offered


def _wants_logprobs(body: wire.ResponsesRequest) -> bool:
    return bool(body.top_logprobs) or _LOGPROBS in (body.include or ())


def _output(body: wire.ResponsesRequest) -> OutputFormat | None:
    wanted = body.text.format if body.text is not None else None
    match wanted:
        case {"type": "json_object"}:
            return JsonObject(field="text.format")
        case {"type": "json_schema", "schema": dict() | bool() as schema}:
            return JsonSchema(schema=schema, field="text.format.schema")
        case _:
            return None


def _in_our_words(error: CallerError) -> CallerError:
    """Call the conversation what this dialect calls it."""
    if error.field == "messages":
        error.field = "input"
        if error.message.startswith("messages: "):
            error.message = "input: " + error.message.removeprefix("messages: ")
    return error


def _reply(
    request: Request, body: wire.ResponsesRequest, tools: Toolbox, pipeline: Pipeline
) -> Reply:
    """Take up what the supervisor has begun; without one, begin here."""
    told = request.headers
    first, pause = int(told.get(wire.NEXT_NUMBER, 0)), told.get(wire.PAUSE)
    numbers = itertools.count(first)
    draft = Draft(
        tools,
        numbers=numbers,
        new_id=_new_id,
        show_logprobs=_shows_logprobs(pipeline) if _wants_logprobs(body) else None,
        seals_reasoning=_SEALED in (body.include or ()),
    )
    return Reply(
        opening=opening(
            body,
            id=told.get(wire.RESPONSE_ID) or _new_id("resp"),
            created_at=int(told.get(wire.CREATED_AT) or time.time()),
            model=pipeline.model.spec.model_id,
            sampling=pipeline.model.spec.sampling,
            overflow=pipeline.model.spec.overflow,
        ),
        first=first,
        pause=float(pause) if pause else None,
        draft=draft,
        numbers=numbers,
    )


def _new_id(prefix: str) -> str:
    return f"{prefix}_{uuid4().hex}"


def _shows_logprobs(pipeline: Pipeline) -> ShowLogprobs:
    return lambda entries: for_chat(entries, pipeline.token_text).content


async def _whole(answers: Answers, reply: Reply) -> Response:
    async for _, news in answers:
        for _ in reply.draft.add(news):
            pass
    return json_response(reply.draft.response(reply.opening, now=int(time.time())))


async def _frames(answers: Answers, reply: Reply) -> AsyncGenerator[bytes]:
    """Yield the frames of a stream; its last event says how it ended."""

    def shown(kind: type[events.Lifecycle], response: WireResponse) -> bytes:
        return events.frame(kind(sequence_number=next(reply.numbers), response=response))

    try:
        if reply.first == 0:
            yield shown(events.Created, reply.opening)
        yield shown(events.InProgress, reply.opening)
        async with aclosing(with_pauses(aiter(answers), reply.pause)) as batches:
            async for batch in batches:
                if batch is None:
                    yield shown(events.InProgress, reply.opening)
                    continue
                for event in reply.draft.add(batch[1]):
                    yield events.frame(event)
    except Exception as error:
        response = msgspec.structs.replace(reply.opening, output=reply.draft.output)
        yield shown(events.Failed, failed(response, foreseen(error, PATH)))
        return
    response = reply.draft.response(reply.opening, now=int(time.time()))
    is_whole = response.status == "completed"
    yield shown(events.Completed if is_whole else events.Incomplete, response)
