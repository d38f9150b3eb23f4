"""Serve OpenAI's Embeddings: texts in, vectors out."""

from collections.abc import Sequence
from dataclasses import dataclass

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from mlxd.protocol import openai_embeddings as wire
from mlxd.protocol.errors import InternalError, InvalidRequest
from mlxd.workers.api.wire import encode, unless_gone
from mlxd.workers.embedding.rows import Row
from mlxd.workers.embedding.settings import TextSettings
from mlxd.workers.embedding.vectors import Vector, as_base64, cut
from mlxd.workers.embedding.words import Words
from mlxd.workers.engine import account
from mlxd.workers.jobs.desk import Desk


@dataclass(frozen=True, slots=True)
class Texts:
    """What the HTTP thread knows of an embedding model."""

    words: Words
    settings: TextSettings
    width: int
    """Numbers of a vector."""


def routes() -> list[Route]:
    """Return the routes of an embedding model; they read `app.state.texts`."""
    return [Route("/v1/embeddings", create, methods=["POST"])]


async def create(request: Request) -> Response:
    """Answer `POST /v1/embeddings`."""
    body = wire.decode(await request.body())
    texts: Texts = request.app.state.texts
    check_dimensions(body.dimensions, texts.width)
    given = wire.texts(body.input)
    rows = await run_in_threadpool(
        tokenize, texts, given, truncate=bool(body.truncate), prompt_name=body.prompt_name
    )
    vectors = await unless_gone(request, lambda: compute(request.app.state.engine, rows))
    answer = await run_in_threadpool(_answer, body, vectors, rows, request.app.state.spec.model_id)
    return Response(answer, media_type="application/json")


def tokenize(
    texts: Texts, given: Sequence[wire.Text], *, truncate: bool, prompt_name: str | None = None
) -> list[Row]:
    """Return the rows of the inputs; raises CallerError naming the one at fault."""
    prompt = _prompt(texts.settings, prompt_name)
    rows = []
    for number, item in enumerate(given):
        field = f"input[{number}]" if len(given) > 1 else "input"
        if isinstance(item, str):
            if not item:
                raise InvalidRequest(f"{field}: expected a text, got an empty one", field=field)
            rows.append(texts.words.row(prompt + item, field=field, truncate=truncate))
        else:
            rows.append(texts.words.row_of_ids(item, field=field, truncate=truncate))
    return rows


def _prompt(settings: TextSettings, name: str | None) -> str:
    wanted = name if name is not None else settings.default_prompt
    if wanted is None:
        return ""
    if wanted in settings.prompts:
        return settings.prompts[wanted]
    if name is None:
        return ""
    known = ", ".join(sorted(settings.prompts)) or "none"
    raise InvalidRequest(
        f"prompt_name: {name!r} is none of the model's: {known}", field="prompt_name"
    )


def check_dimensions(wanted: int | None, width: int) -> None:
    """Raise InvalidRequest where more numbers are wanted than there are."""
    if wanted is not None and wanted > width:
        message = f"dimensions: {wanted} is more than the {width} of this model"
        raise InvalidRequest(message, field="dimensions")


async def compute(desk: Desk[list[Row], list[Vector]], rows: list[Row]) -> list[Vector]:
    """Return a vector for each row, from batches shared with whoever else asks."""
    account.current().input_tokens += sum(map(len, rows))
    parts = await desk.answer(rows)
    if len(parts) != 1:
        raise InternalError("the model gave no vectors")
    return parts[0]


def _answer(
    body: wire.EmbeddingsRequest, vectors: list[Vector], rows: list[Row], model: str
) -> bytes:
    tokens = sum(map(len, rows))
    as_text = body.encoding_format == "base64"
    data = [
        wire.Embedding(
            index=number,
            embedding=as_base64(short) if as_text else short.tolist(),
        )
        for number, vector in enumerate(vectors)
        for short in [cut(vector, body.dimensions)]
    ]
    usage = wire.EmbeddingsUsage(prompt_tokens=tokens, total_tokens=tokens)
    return encode(wire.Embeddings(data=data, model=model, usage=usage))
