"""Answer Speech: a text in, its sound out while it is made, as a file or as events."""

import asyncio
import base64
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from mlxd.protocol import openai_speech as wire
from mlxd.protocol import render, sse
from mlxd.protocol.dialect import Dialect
from mlxd.protocol.errors import InternalError, InvalidRequest, UnsupportedField
from mlxd.workers.api.errors import foreseen
from mlxd.workers.api.wire import EventStream, encode, unless_gone
from mlxd.workers.engine import account
from mlxd.workers.engine.account import Account
from mlxd.workers.jobs.desk import Desk
from mlxd.workers.sound import tokens, writing
from mlxd.workers.sound.samples import Samples
from mlxd.workers.sound.writing import MEDIA_TYPES, Writer
from mlxd.workers.speech.speaker import Speak, Speaker

PATH = "/v1/audio/speech"


def routes() -> list[Route]:
    """Return the routes; they read `app.state.speaker`."""
    return [Route(PATH, create, methods=["POST"])]


async def create(request: Request) -> Response:
    """Answer `POST /v1/audio/speech`."""
    desk: Desk[Speak, Samples] = request.app.state.engine
    speaker: Speaker = request.app.state.speaker
    body = wire.decode(await request.body())
    ask = asked(body, speaker)
    owner = account.current()
    owner.input_tokens += tokens.written(ask.text)
    writer = writing.start(body.response_format, speaker.sample_rate)
    stack = AsyncExitStack()
    try:
        parts = stack.enter_context(desk.job(ask))
        # What fails at once has a status of its own: the answer begins with the first sound.
        first = await unless_gone(request, lambda: _first(parts))
    except BaseException:
        await stack.aclose()
        raise
    files = _files(_charged(first, parts, owner, speaker.sample_rate), writer)
    if body.stream_format == "sse":
        return EventStream(_events(files, owner), stack)
    return SoundStream(files, stack, MEDIA_TYPES[body.response_format])


def asked(body: wire.SpeechRequest, speaker: Speaker) -> Speak:
    """Return what the model is asked for; raises CallerError for what this one does not have."""
    if body.speed is not None and body.speed != 1 and not speaker.has_speed:
        raise UnsupportedField("speed", "this model speaks at one speed")
    if body.instructions and not speaker.has_instructions:
        raise UnsupportedField("instructions", "this model takes none")
    return Speak(
        text=body.input.strip(),
        voice=voice(body.voice, speaker.voices, speaker.default_voice),
        speed=body.speed,
        instructions=body.instructions,
    )


def voice(
    wanted: str | wire.NamedVoice | None, known: list[str], default: str | None
) -> str | None:
    """Return the model's name of a voice; raises InvalidRequest for one that it did not bring along."""
    if wanted is None:
        return default
    name = wanted.id if isinstance(wanted, wire.NamedVoice) else wanted
    if name.lower() == "default":
        return default
    found = next((voice for voice in known if voice.lower() == name.lower()), None)
    if found is None:
        raise InvalidRequest(
            f"voice: expected one of {', '.join(known) or 'default'}, got {name[:32]!r}",
            field="voice",
        )
    return found


async def _first(parts: AsyncIterator[Samples]) -> Samples:
    async for part in parts:
        return part
    raise InternalError("the model made no sound")


async def _charged(
    first: Samples, rest: AsyncIterator[Samples], owner: Account, rate: int
) -> AsyncGenerator[Samples]:
    """Yield the sound as it comes, and have whoever asked for it pay."""
    samples = len(first)
    owner.output_tokens = tokens.spoken(samples / rate)
    yield first
    async for part in rest:
        samples += len(part)
        owner.output_tokens = tokens.spoken(samples / rate)
        yield part


async def _files(sound: AsyncGenerator[Samples], writer: Writer) -> AsyncGenerator[bytes]:
    """Yield the file's bytes as the sound comes."""
    async for part in sound:
        if ready := await asyncio.to_thread(writer.feed, part):
            yield ready
    if rest := await asyncio.to_thread(writer.end):
        yield rest


async def _events(files: AsyncGenerator[bytes], owner: Account) -> AsyncGenerator[bytes]:
    try:
        async for piece in files:
            yield sse.event(encode(wire.AudioDelta(audio=base64.b64encode(piece).decode())))
    except Exception as error:
        yield render.final_event(foreseen(error, PATH), Dialect.OPENAI)
        return
    read, made = owner.input_tokens, owner.output_tokens
    usage = wire.SpeechUsage(input_tokens=read, output_tokens=made, total_tokens=read + made)
    yield sse.event(encode(wire.AudioDone(usage=usage)))


class SoundStream(EventStream):
    """Send a file as it is made; where that fails, the connection ends before the file does."""

    def __init__(
        self, files: AsyncGenerator[bytes], source: AsyncExitStack, media_type: str
    ) -> None:
        self.media_type = media_type
        super().__init__(files, source)
