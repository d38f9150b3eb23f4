"""Serve Anthropic's Messages: a body in, blocks out as one message or as a stream of events."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from uuid import uuid4

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from mlxd.protocol import anthropic_answer as answer
from mlxd.protocol import anthropic_messages as wire
from mlxd.protocol import render, sse
from mlxd.protocol.dialect import Dialect
from mlxd.protocol.generation import NEUTRAL, SamplingDefaults
from mlxd.workers.api.anthropic_blocks import BlockCutter, Draft
from mlxd.workers.api.anthropic_turns import must_call, tools, turns
from mlxd.workers.api.errors import foreseen
from mlxd.workers.api.wire import EventStream, encode, json_response, unless_gone
from mlxd.workers.chat.events import EndReason, Finish
from mlxd.workers.chat.output_format import JsonSchema, OutputFormat
from mlxd.workers.chat.pipeline import Answers, Pipeline
from mlxd.workers.chat.request import ChatRequest, Controls
from mlxd.workers.chat.template import PromptWriter
from mlxd.workers.engine.sampling_defaults import sampling

_THINKS = {"enabled": True, "adaptive": True, "disabled": False, "between_tools": False}
_EFFORTS = {"low": "low", "medium": "medium", "high": "high", "xhigh": "high", "max": "high"}
"""What templates that know efforts call them."""


def routes() -> list[Route]:
    """Return the routes of an answering worker, under both prefixes."""
    return [
        Route(f"{prefix}/v1/messages", create, methods=["POST"]) for prefix in ("", "/anthropic")
    ] + counting_routes()


def counting_routes() -> list[Route]:
    """Return the routes that need no model but its tokenizer."""
    return [
        Route(f"{prefix}/v1/messages/count_tokens", count_tokens, methods=["POST"])
        for prefix in ("", "/anthropic")
    ]


async def create(request: Request) -> Response:
    """Answer `POST /v1/messages`."""
    pipeline: Pipeline = request.app.state.pipeline
    body = wire.decode(await request.body())
    limit = wire.max_tokens(body)
    asked = translate(
        body, callable_here=pipeline.reads_calls, defaults=pipeline.model.spec.sampling
    )
    answers = await unless_gone(request, lambda: pipeline.chat(asked))
    reply = Reply(
        id=f"msg_{uuid4().hex[:24]}",
        model=pipeline.model.spec.model_id,
        limit=limit,
        shows_thinking=body.thinking is None or body.thinking.display != "omitted",
    )
    if body.stream:
        return EventStream(_frames(answers, reply), answers)
    async with answers:
        return await unless_gone(request, lambda: _whole(answers, reply))


async def count_tokens(request: Request) -> Response:
    """Answer `POST /v1/messages/count_tokens` with the length of the prompt that `create` would read."""
    writer: PromptWriter = request.app.state.writer
    body = wire.decode(await request.body())
    asked = translate(body, callable_here=writer.format.reads_calls)
    return json_response(answer.TokenCount(await unless_gone(request, lambda: writer.count(asked))))


def translate(
    body: wire.MessagesRequest,
    *,
    callable_here: bool,
    defaults: SamplingDefaults = NEUTRAL,
) -> ChatRequest:
    """Turn a body into the request every dialect makes; raises CallerError naming the field at fault."""
    spoken, prefill = turns(body)
    offered = tools(body, callable_here=callable_here)
    choice = body.tool_choice
    return ChatRequest(
        turns=spoken,
        tools=offered,
        must_call=must_call(body, offered),
        parallel_calls=not (choice and choice.disable_parallel_tool_use),
        thinking_budget=body.thinking.budget_tokens if body.thinking else None,
        prefill=prefill,
        template_options=_template_options(body),
        controls=Controls(
            sampling=sampling(
                defaults, temperature=body.temperature, top_p=body.top_p, top_k=body.top_k
            ),
            # Zero tokens cannot be asked for; whoever wants none gets none of the one that is made.
            max_tokens=body.max_tokens or 1,
            stops=wire.stops(body),
            output=_output(body),
        ),
    )


def _output(body: wire.MessagesRequest) -> OutputFormat | None:
    config = body.output_config
    if config is not None and config.format is not None:
        return JsonSchema(schema=config.format.schema, field="output_config.format.schema")
    if body.output_format is not None:
        return JsonSchema(schema=body.output_format.schema, field="output_format.schema")
    return None


def _template_options(body: wire.MessagesRequest) -> dict[str, object]:
    """Switch thinking on only where it is asked for: clients that did not ask read the first block as the answer."""
    thinks = body.thinking is not None and _THINKS[body.thinking.type]
    options: dict[str, object] = {"enable_thinking": thinks}
    if body.output_config is not None and body.output_config.effort is not None:
        options["reasoning_effort"] = _EFFORTS[body.output_config.effort]
    return options


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """Hold what is known of an answer before its first token."""

    id: str
    model: str
    limit: int
    """The `max_tokens` of the body."""
    shows_thinking: bool = True

    def message(
        self,
        usage: answer.Usage,
        content: list[answer.ContentBlock],
        stop: answer.Stop | None = None,
    ) -> answer.Message:
        """Return the message; without a stop it has only begun."""
        return answer.Message(
            id=self.id,
            model=self.model,
            content=content,
            stop_reason=stop.stop_reason if stop else None,
            stop_sequence=stop.stop_sequence if stop else None,
            usage=usage,
        )

    def stop(self, finish: Finish) -> answer.Stop:
        """Say in Anthropic's words why the answer ended."""
        if not self.limit:
            return answer.Stop("max_tokens")
        match finish.reason:
            case EndReason.TOOL_CALLS:
                return answer.Stop("tool_use")
            case EndReason.STOP if finish.stop is not None:
                return answer.Stop("stop_sequence", finish.stop)
            case EndReason.STOP:
                return answer.Stop("end_turn")
            case EndReason.LENGTH:
                full = finish.usage.completion < self.limit
                return answer.Stop("model_context_window_exceeded" if full else "max_tokens")

    def usage(self, finish: Finish) -> answer.Usage:
        """Count tokens; an answer of no tokens has none, whatever was made to get there."""
        used = finish.usage
        return answer.Usage(
            input_tokens=used.prompt - used.cached,
            cache_read_input_tokens=used.cached,
            output_tokens=used.completion if self.limit else 0,
            output_tokens_details=answer.OutputTokensDetails(used.reasoning if self.limit else 0),
        )


async def _whole(answers: Answers, reply: Reply) -> Response:
    cutter, draft = BlockCutter(shows_thinking=reply.shows_thinking), Draft()
    async for _, events in answers:
        for event in cutter.cut(events):
            draft.add(event)
    assert cutter.finish is not None
    content = draft.content if reply.limit else []
    usage, stop = reply.usage(cutter.finish), reply.stop(cutter.finish)
    return json_response(reply.message(usage, content, stop))


async def _frames(answers: Answers, reply: Reply) -> AsyncGenerator[bytes]:
    """Yield the frames of a stream; `message_stop` comes only at a clean end."""
    cutter = BlockCutter(shows_thinking=reply.shows_thinking)
    try:
        usage = answer.Usage(input_tokens=answers.prompt_tokens)
        yield _frame(answer.MessageStart(reply.message(usage, [])))
        yield _frame(answer.Ping())
        async for _, events in answers:
            for event in cutter.cut(events):
                if reply.limit:
                    yield _frame(event)
    except Exception as error:
        yield render.final_event(foreseen(error, "/v1/messages"), Dialect.ANTHROPIC)
        return
    assert cutter.finish is not None
    yield _frame(answer.MessageDelta(reply.stop(cutter.finish), reply.usage(cutter.finish)))
    yield _frame(answer.MessageStop())


def _frame(event: answer.StreamEvent) -> bytes:
    return sse.event(encode(event), str(event.__struct_config__.tag))
