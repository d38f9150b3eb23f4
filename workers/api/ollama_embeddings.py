"""Serve Ollama's two ways to ask for vectors, over the same steps as OpenAI's."""

import time

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from mlxd.protocol import ollama_embeddings as wire
from mlxd.protocol.errors import InvalidRequest
from mlxd.workers.api.embeddings import Texts, check_dimensions, compute, tokenize
from mlxd.workers.api.ollama import queued
from mlxd.workers.api.wire import json_response, unless_gone
from mlxd.workers.embedding.vectors import Vector, cut


def routes() -> list[Route]:
    """Return the routes of an embedding model; they read `app.state.texts`."""
    return [
        Route("/api/embed", embed, methods=["POST"]),
        Route("/api/embeddings", older, methods=["POST"]),
    ]


async def embed(request: Request) -> Response:
    """Answer `POST /api/embed`; without an input it has loaded the model."""
    begun = time.perf_counter_ns()
    body = wire.decode(await request.body())
    texts: Texts = request.app.state.texts
    check_dimensions(body.dimensions, texts.width)
    vectors, tokens = await _vectors(request, wire.texts(body), truncate=body.truncate is not False)
    waited = queued(request)
    answer = wire.Embedded(
        model=body.model,
        embeddings=[cut(vector, body.dimensions).tolist() for vector in vectors],
        total_duration=waited + time.perf_counter_ns() - begun,
        load_duration=waited,
        prompt_eval_count=tokens,
    )
    return json_response(answer)


async def older(request: Request) -> Response:
    """Answer `POST /api/embeddings`; an empty prompt has an empty vector, and the model is loaded."""
    body = wire.decode_older(await request.body())
    vectors, _ = await _vectors(request, [body.prompt] if body.prompt else [], truncate=True)
    return json_response(wire.OlderEmbedded(embedding=vectors[0].tolist() if vectors else []))


async def _vectors(
    request: Request, given: list[str], *, truncate: bool
) -> tuple[list[Vector], int]:
    """Return the texts' vectors and how many tokens were read."""
    if not given:
        return [], 0
    if any(not text for text in given):
        number = given.index("")
        field = f"input[{number}]"
        raise InvalidRequest(f"{field}: expected a text, got an empty one", field=field)
    texts: Texts = request.app.state.texts
    rows = await run_in_threadpool(tokenize, texts, given, truncate=truncate)
    vectors = await unless_gone(request, lambda: compute(request.app.state.engine, rows))
    return vectors, sum(map(len, rows))
