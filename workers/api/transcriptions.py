"""Answer Transcriptions and Translations: a file in, what is said in it out, whole or as it is heard."""

import math
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

import msgspec
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from mlxd.protocol import openai_transcriptions as wire
from mlxd.protocol import render, sse
from mlxd.protocol.dialect import Dialect
from mlxd.protocol.errors import InvalidRequest, UnsupportedField
from mlxd.workers.api.errors import foreseen
from mlxd.workers.api.wire import EventStream, encode, json_response, unless_gone
from mlxd.workers.engine import account
from mlxd.workers.engine.account import Account
from mlxd.workers.jobs.desk import Desk
from mlxd.workers.sound import tokens
from mlxd.workers.transcription import subtitles
from mlxd.workers.transcription.ears import Ears
from mlxd.workers.transcription.languages import name_of
from mlxd.workers.transcription.spoken import Heard, Listen, Segment

PATH = "/v1/audio/transcriptions"
TRANSLATIONS = "/v1/audio/translations"
_RATE = 16000
_MOST_FIELDS = 64
_LONGEST_FIELD = 64 << 10


def routes() -> list[Route]:
    """Return the routes; they read `app.state.ears`."""
    return [
        Route(PATH, transcribe, methods=["POST"]),
        Route(TRANSLATIONS, translate, methods=["POST"]),
    ]


async def transcribe(request: Request) -> Response:
    """Answer `POST /v1/audio/transcriptions`."""
    return await _answer(request, translates=False)


async def translate(request: Request) -> Response:
    """Answer `POST /v1/audio/translations`."""
    return await _answer(request, translates=True)


async def _answer(request: Request, *, translates: bool) -> Response:
    desk: Desk[Listen, Heard] = request.app.state.engine
    ears: Ears = request.app.state.ears
    if translates and not ears.translates:
        raise UnsupportedField("model", "this one translates nothing")
    content, body = await _form(request)
    language = ears.code(body.language)
    words = "word" in (body.timestamp_granularities or [])
    if words and not ears.timed_words:
        raise UnsupportedField("timestamp_granularities", "this model does not time words")
    if body.prompt and not ears.prompts:
        raise UnsupportedField("prompt", "this model cannot be given one")

    async def heard(stack: AsyncExitStack) -> tuple[_Draft, AsyncIterator[Heard]]:
        samples = await stack.enter_async_context(ears.hold(content))
        ask = Listen(
            samples=samples,
            language=language,
            translate=translates,
            prompt=body.prompt,
            temperature=body.temperature or 0.0,
            words=words,
        )
        owner, seconds = account.current(), len(samples) / _RATE
        owner.input_tokens += tokens.heard(seconds)
        return _Draft(seconds, owner), stack.enter_context(desk.job(ask))

    async def whole() -> Response:
        async with AsyncExitStack() as stack:
            draft, parts = await heard(stack)
            async for part in parts:
                draft.add(part)
        return _written(draft, body, "translate" if translates else "transcribe")

    if not body.stream:
        return await unless_gone(request, whole)
    stack = AsyncExitStack()
    draft, parts = await unless_gone(request, lambda: heard(stack))
    return EventStream(_frames(draft, parts, request.url.path), stack)


async def _form(request: Request) -> tuple[bytes, wire.TranscriptionRequest]:
    """Return the upload and the fields."""
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        raise InvalidRequest("expected a form (multipart/form-data) with a file")
    async with request.form(
        max_files=1, max_fields=_MOST_FIELDS, max_part_size=_LONGEST_FIELD
    ) as form:
        pairs = form.multi_items()
        body = wire.decode((name, value) for name, value in pairs if isinstance(value, str))
        upload = form.get("file")
        if not isinstance(upload, UploadFile):
            raise InvalidRequest("file: expected an upload", field="file")
        return await upload.read(), body


@dataclass(slots=True)
class _Draft:
    """Gather what is heard."""

    seconds: float
    owner: Account
    """Who pays for it."""
    segments: list[Segment] = field(default_factory=list)
    language: str | None = None

    def add(self, part: Heard) -> str:
        """Take the next stretch; return what it adds to the text."""
        first = not self.text
        self.language = part.language
        for found in part.segments:
            self.owner.output_tokens += len(found.tokens) or tokens.written(found.text)
        said = [segment for segment in part.segments if segment.text.strip()]
        self.segments += said
        added = "".join(segment.text for segment in said)
        return added.lstrip() if first else added

    @property
    def text(self) -> str:
        return "".join(segment.text for segment in self.segments).strip()

    @property
    def usage(self) -> wire.DurationUsage:
        return wire.DurationUsage(seconds=math.ceil(self.seconds))


def _written(draft: _Draft, body: wire.TranscriptionRequest, task: str) -> Response:
    match body.response_format:
        case "text":
            return Response(draft.text + "\n", media_type="text/plain")
        case "srt":
            return Response(subtitles.srt(draft.segments), media_type="text/plain")
        case "vtt":
            return Response(subtitles.vtt(draft.segments), media_type="text/vtt")
        case "verbose_json":
            return json_response(_verbose(draft, body.timestamp_granularities, task))
        case _:
            return json_response(wire.Transcription(text=draft.text, usage=draft.usage))


def _verbose(draft: _Draft, wanted: Sequence[str] | None, task: str) -> wire.VerboseTranscription:
    wanted = wanted or ["segment"]
    segments = [_timed(number, segment) for number, segment in enumerate(draft.segments)]
    words = [
        wire.TimedWord(word=word.word.strip(), start=round(word.start, 3), end=round(word.end, 3))
        for segment in draft.segments
        for word in segment.words
    ]
    return wire.VerboseTranscription(
        task=task,
        language=name_of(draft.language or "unknown"),
        duration=round(draft.seconds, 3),
        text=draft.text,
        segments=segments if "segment" in wanted else msgspec.UNSET,
        words=words if "word" in wanted else msgspec.UNSET,
        usage=draft.usage,
    )


def _timed(number: int, segment: Segment) -> wire.TimedSegment:
    return wire.TimedSegment(
        id=number,
        seek=segment.seek,
        start=round(segment.start, 3),
        end=round(segment.end, 3),
        text=segment.text,
        tokens=segment.tokens,
        temperature=segment.temperature,
        avg_logprob=segment.avg_logprob,
        compression_ratio=segment.compression_ratio,
        no_speech_prob=segment.no_speech_prob,
    )


async def _frames(draft: _Draft, parts: AsyncIterator[Heard], path: str) -> AsyncGenerator[bytes]:
    try:
        async for part in parts:
            if delta := draft.add(part):
                yield sse.event(encode(wire.TextDelta(delta=delta)))
    except Exception as error:
        yield render.final_event(foreseen(error, path), Dialect.OPENAI)
        return
    yield sse.event(encode(wire.TextDone(text=draft.text, usage=draft.usage)))
    yield sse.DONE
