"""Answer Images: pictures from a prompt, or from a prompt and a picture, whole or as they are drawn."""

import asyncio
import base64
import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AsyncExitStack

from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from mlxd.protocol import openai_images as wire
from mlxd.protocol import render, sse
from mlxd.protocol.dialect import Dialect
from mlxd.protocol.errors import InternalError, InvalidRequest, UnsupportedField
from mlxd.workers.api.errors import foreseen
from mlxd.workers.api.wire import EventStream, encode, json_response, unless_gone
from mlxd.workers.drawing import files
from mlxd.workers.drawing.easel import Easel
from mlxd.workers.drawing.picture import Draw, Part, Picture, Pixels, Preview, Step
from mlxd.workers.engine import account
from mlxd.workers.jobs.desk import Desk

GENERATIONS = "/v1/images/generations"
EDITS = "/v1/images/edits"
_KINDS = {GENERATIONS: "image_generation", EDITS: "image_edit"}
"""How the events of a route's streams begin."""
_MOST_FILES = 16
_MOST_FIELDS = 64
_LONGEST_FIELD = 256 << 10


def routes() -> list[Route]:
    """Return the routes; they read `app.state.easel`."""
    return [
        Route(GENERATIONS, generate, methods=["POST"]),
        Route(EDITS, edit, methods=["POST"]),
    ]


async def generate(request: Request) -> Response:
    """Answer `POST /v1/images/generations`."""
    easel: Easel = request.app.state.easel
    body = wire.decode(await request.body())
    return await _answer(request, body, easel.asked(body))


async def edit(request: Request) -> Response:
    """Answer `POST /v1/images/edits`."""
    easel: Easel = request.app.state.easel
    if not easel.family.most_sources:
        raise UnsupportedField("model", "this one edits no pictures")
    uploads, body = await _form(request)
    sources = await asyncio.to_thread(easel.sources, uploads)
    return await _answer(request, body, easel.asked(body, sources))


async def _form(request: Request) -> tuple[list[bytes], wire.EditRequest]:
    """Return the pictures and the fields."""
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        raise InvalidRequest("expected a form (multipart/form-data) with a picture in image")
    async with request.form(
        max_files=_MOST_FILES, max_fields=_MOST_FIELDS, max_part_size=_LONGEST_FIELD
    ) as form:
        pairs = form.multi_items()
        uploads = [(name, value) for name, value in pairs if isinstance(value, UploadFile)]
        fields = ((name, value) for name, value in pairs if isinstance(value, str))
        body = wire.decode_form(fields, [name for name, _ in uploads])
        return [await upload.read() for _, upload in uploads], body


async def _answer(request: Request, body: wire.ImagesRequest, ask: Draw) -> Response:
    desk: Desk[Draw, Part] = request.app.state.engine
    easel: Easel = request.app.state.easel
    sheet = _Sheet(body, ask, easel.patches(ask), _KINDS[request.url.path])
    if not body.stream:
        pictures = await unless_gone(request, lambda: _drawn(desk, ask, sheet))
        return json_response(await sheet.response(pictures))
    stack = AsyncExitStack()
    try:
        parts = sheet.charged(stack.enter_context(desk.job(ask)))
        # What fails at once has a status of its own: the answer begins with the first step.
        first = await unless_gone(request, lambda: _first(parts))
    except BaseException:
        await stack.aclose()
        raise
    return EventStream(_events(first, parts, sheet, request.url.path), stack)


async def _drawn(desk: Desk[Draw, Part], ask: Draw, sheet: "_Sheet") -> list[Picture]:
    with desk.job(ask) as parts:
        return [part async for part in sheet.charged(parts) if isinstance(part, Picture)]


async def _first(parts: AsyncIterator[Part]) -> Part:
    async for part in parts:
        return part
    raise InternalError("the model drew nothing")


async def _events(
    first: Part, parts: AsyncIterator[Part], sheet: "_Sheet", path: str
) -> AsyncGenerator[bytes]:
    try:
        yield await sheet.event(first)
        async for part in parts:
            yield await sheet.event(part)
    except Exception as error:
        yield render.final_event(foreseen(error, path), Dialect.OPENAI)


class _Sheet:
    """Write down what was drawn for one request."""

    def __init__(self, body: wire.ImagesRequest, ask: Draw, patches: int, kind: str) -> None:
        self._format = body.output_format or "png"
        self._compression = body.output_compression
        self._size = f"{ask.width}x{ask.height}"
        self._patches = patches
        self._kind = kind
        self._owner = account.current()

    async def charged(self, parts: AsyncIterator[Part]) -> AsyncGenerator[Part]:
        """Yield the parts, and have whoever asked pay: by the step, for one may leave before the last."""
        finished = 0
        async for part in parts:
            match part:
                case Step(_, done, steps):
                    drawn = self._patches * done // steps
                    self._owner.output_tokens = self._patches * finished + drawn
                case Picture(prompt_tokens=tokens):
                    finished += 1
                    self._owner.input_tokens = tokens
                    self._owner.output_tokens = self._patches * finished
            yield part

    async def response(self, pictures: Sequence[Picture]) -> wire.ImagesResponse:
        """Return the answer with all pictures."""
        tokens = pictures[0].prompt_tokens if pictures else 0
        return wire.ImagesResponse(
            created=int(time.time()),
            data=[
                wire.Image(b64_json=await self._file(picture.pixels), seed=picture.seed)
                for picture in pictures
            ],
            output_format=self._format,
            size=self._size,
            usage=wire.ImagesUsage.of(tokens, self._patches * len(pictures)),
        )

    async def event(self, part: Part) -> bytes:
        """Return what a stream says of a piece of the work; a step is a comment, which clients pass over."""
        match part:
            case Step(_, done, steps):
                return f": step {done} of {steps}\n\n".encode()
            case Preview(_, index, pixels):
                name = f"{self._kind}.partial_image"
                partial = wire.PartialImage(
                    type=name,
                    b64_json=await self._file(pixels),
                    created_at=int(time.time()),
                    output_format=self._format,
                    partial_image_index=index,
                    size=self._size,
                )
                return sse.event(encode(partial), name)
            case Picture(_, seed, pixels, tokens):
                name = f"{self._kind}.completed"
                completed = wire.CompletedImage(
                    type=name,
                    b64_json=await self._file(pixels),
                    created_at=int(time.time()),
                    output_format=self._format,
                    size=self._size,
                    seed=seed,
                    usage=wire.ImagesUsage.of(tokens, self._patches),
                )
                return sse.event(encode(completed), name)

    async def _file(self, pixels: Pixels) -> str:
        content = await asyncio.to_thread(files.write, pixels, self._format, self._compression)
        return base64.b64encode(content).decode()
