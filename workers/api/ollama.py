"""Serve Ollama's chat and generate: a body in, events out as one object or line by line."""

from dataclasses import replace

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from mlxd.protocol import ollama_answer, ollama_fields
from mlxd.protocol import ollama_chat as wire
from mlxd.protocol.control import QUEUED
from mlxd.protocol.errors import InvalidRequest, UnsupportedField
from mlxd.protocol.generation import SamplingDefaults
from mlxd.workers.api.ollama_answers import CHAT, GENERATE, Reply, Stopwatch, lines, whole
from mlxd.workers.api.ollama_turns import shown, tools, turns
from mlxd.workers.api.template_options import template_options
from mlxd.workers.api.wire import LineStream, encode, json_response, unless_gone
from mlxd.workers.chat.output_format import JsonObject, JsonSchema, OutputFormat
from mlxd.workers.chat.pipeline import Answers, Pipeline
from mlxd.workers.chat.request import ChatRequest, CompletionRequest, Controls, Role, Turn
from mlxd.workers.engine.sampling_defaults import sampling


def routes() -> list[Route]:
    """Return the routes of an answering worker."""
    return [
        Route(CHAT, chat, methods=["POST"]),
        Route(GENERATE, generate, methods=["POST"]),
    ]


async def chat(request: Request) -> Response:
    """Answer `POST /api/chat`."""
    pipeline: Pipeline = request.app.state.pipeline
    body = wire.decode_chat(await request.body())
    _check_think(pipeline, body)
    asked = translate_chat(
        body, callable_here=pipeline.reads_calls, defaults=pipeline.model.spec.sampling
    )
    if not body.messages:
        return _loaded(request, pipeline, body)
    watch = _stopwatch(request)
    answers = await unless_gone(request, lambda: pipeline.chat(asked))
    return await _answer(request, pipeline, body, answers, watch)


async def generate(request: Request) -> Response:
    """Answer `POST /api/generate`; a model without a chat template reads the prompt as it is, as a raw one."""
    pipeline: Pipeline = request.app.state.pipeline
    body = wire.decode_generate(await request.body())
    _check_think(pipeline, body)
    asked = translate_generate(
        body,
        has_template=pipeline.model.tokenizer.has_chat_template,
        defaults=pipeline.model.spec.sampling,
    )
    if not body.prompt:
        return _loaded(request, pipeline, body)
    watch = _stopwatch(request)
    if isinstance(asked, ChatRequest):
        answers = await unless_gone(request, lambda: pipeline.chat(asked))
    else:
        answers = await unless_gone(request, lambda: pipeline.complete(asked))
    return await _answer(request, pipeline, body, answers, watch)


def translate_chat(
    body: wire.ChatRequest, *, callable_here: bool, defaults: SamplingDefaults
) -> ChatRequest:
    """Turn a body into the request every dialect makes; raises CallerError naming the field at fault."""
    return ChatRequest(
        turns=turns(body.messages or ()),
        tools=tools(body.tools, callable_here=callable_here),
        template_options=_template_options(body.think),
        controls=_controls(body, defaults),
    )


def translate_generate(
    body: wire.GenerateRequest, *, has_template: bool, defaults: SamplingDefaults
) -> ChatRequest | CompletionRequest:
    """Turn a body into a conversation of one message, or into a plain prompt; raises CallerError."""
    prompt = body.prompt or ""
    content = shown(body.images, "images", prompt)
    if body.images and (body.raw or not has_template):
        raise UnsupportedField(
            "images", "a prompt without the model's template has no place for them"
        )
    if body.raw:
        return CompletionRequest(prompts=(prompt,), controls=_controls(body, defaults))
    if not has_template:
        if body.system:
            raise UnsupportedField("system", "this model has no chat template")
        return CompletionRequest(prompts=(prompt,), controls=_controls(body, defaults))
    system = (Turn(role=Role.SYSTEM, text=body.system),) if body.system else ()
    return ChatRequest(
        turns=(*system, Turn(role=Role.USER, text=content.text, images=content.images)),
        template_options=_template_options(body.think),
        controls=_controls(body, defaults),
    )


def _controls(body: ollama_fields.SharedFields, defaults: SamplingDefaults) -> Controls:
    options = ollama_fields.options(body)
    chosen = sampling(
        defaults,
        temperature=options.temperature,
        top_p=options.top_p,
        top_k=options.top_k,
        min_p=options.min_p,
        repetition_penalty=options.repeat_penalty,
        presence_penalty=options.presence_penalty,
        frequency_penalty=options.frequency_penalty,
        seed=options.seed,
    )
    if options.repeat_last_n == 0:
        chosen = replace(
            chosen, repetition_penalty=1.0, presence_penalty=0.0, frequency_penalty=0.0
        )
    if options.seed is not None and options.seed < 0:
        chosen = replace(chosen, seed=None)
    limit = defaults.max_tokens if options.num_predict is None else options.num_predict
    return Controls(
        sampling=chosen,
        max_tokens=limit if limit and limit > 0 else None,
        stops=ollama_fields.stops(options.stop),
        logprobs=(body.top_logprobs or 0) if body.logprobs else None,
        output=_output(body.format),
    )


def _output(wanted: ollama_fields.Format | None) -> OutputFormat | None:
    if wanted is None or wanted == "":
        return None
    if wanted == "json":
        return JsonObject(field="format")
    if isinstance(wanted, str):
        raise InvalidRequest(
            f'format: expected "json" or a JSON schema, got {wanted[:32]!r}', field="format"
        )
    return JsonSchema(schema=wanted, field="format")


def _template_options(think: ollama_fields.Think | None) -> dict[str, object]:
    """Leave the template its own way where nothing is said, as Ollama lets models think that can."""
    if isinstance(think, str):
        return template_options(think, None, field="think")
    return {} if think is None else {"enable_thinking": think}


def _check_think(pipeline: Pipeline, body: ollama_fields.SharedFields) -> None:
    """Raise InvalidRequest, in the words that Ollama's clients know, where a model shall think that cannot."""
    if body.think and not pipeline.thinks:
        name = pipeline.model.spec.model_id
        raise InvalidRequest(f'"{name}" does not support thinking', field="think")


async def _answer(
    request: Request,
    pipeline: Pipeline,
    body: ollama_fields.SharedFields,
    answers: Answers,
    watch: Stopwatch,
) -> Response:
    reply = Reply(
        path=request.url.path,
        model=pipeline.model.spec.model_id,
        token_text=pipeline.token_text,
        logprobs=bool(body.logprobs),
    )
    if body.streams:
        return LineStream(lines(answers, reply, watch), answers)
    async with answers:
        return await unless_gone(request, lambda: whole(answers, reply, watch))


def _loaded(request: Request, pipeline: Pipeline, body: ollama_fields.SharedFields) -> Response:
    """Answer a body that asks for nothing but the model."""
    path, model = request.url.path, pipeline.model.spec.model_id
    line = ollama_answer.empty(path, model, "load")
    if not body.streams:
        return json_response(line)
    return Response(encode(line) + b"\n", media_type=LineStream.media_type)


def _stopwatch(request: Request) -> Stopwatch:
    return Stopwatch(queued=queued(request))


def queued(request: Request) -> int:
    """Return how many nanoseconds the supervisor says that the request waited."""
    given = request.headers.get(QUEUED, "")
    known = given.isascii() and given.isdigit() and len(given) < 19
    return int(given) if known else 0
