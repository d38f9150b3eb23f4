"""Put a text model's routes together."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from mlxd.protocol.errors import MlxdError
from mlxd.workers.api import (
    anthropic_messages,
    health,
    ollama,
    openai_chat,
    openai_completions,
    openai_responses,
)
from mlxd.workers.api.errors import Boundary, on_http_error, on_mlxd_error
from mlxd.workers.api.wire import ClientGone
from mlxd.workers.chat.context_note import ContextNotes
from mlxd.workers.chat.pipeline import Pipeline
from mlxd.workers.chat.template import PromptWriter
from mlxd.workers.engine.account import Accounting
from mlxd.workers.engine.handle import Engine
from mlxd.workers.model import TextModel

_NOBODY_WAITS = 499
"""nginx's status for a client that left; nobody reads it but logs."""


def build(model: TextModel, engine: Engine) -> Starlette:
    """Return the app of one text model; it runs on the event loop that `engine` hands tokens to."""
    pipeline = Pipeline(model, engine)

    routes = [
        Route("/v1/chat/completions", openai_chat.create, methods=["POST"]),
        Route("/v1/completions", openai_completions.create, methods=["POST"]),
        Route(openai_responses.PATH, openai_responses.create, methods=["POST"]),
        *anthropic_messages.routes(),
        *ollama.routes(),
        Route("/v1/batch/stats", health.batch_stats, methods=["GET"]),
        Route("/health", health.health, methods=["GET"]),
    ]
    app = of_routes(routes, pipeline.close)
    app.state.pipeline, app.state.engine, app.state.writer = pipeline, engine, pipeline.writer
    return app


def build_counting(writer: PromptWriter) -> Starlette:
    """Return the app of a tokenizer without its model: it counts and does nothing else."""
    routes = [
        *anthropic_messages.counting_routes(),
        Route("/health", health.health, methods=["GET"]),
    ]
    app = of_routes(routes, writer.close)
    app.state.writer = writer
    return app


def of_routes(routes: Sequence[Route], close: Callable[[], None] = lambda: None) -> Starlette:
    """Return an app that answers every failure in the dialect of its path; `close` runs as it ends."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        yield
        close()

    return Starlette(
        routes=list(routes),
        middleware=[Middleware(Accounting), Middleware(ContextNotes), Middleware(Boundary)],
        exception_handlers={
            MlxdError: on_mlxd_error,
            HTTPException: on_http_error,
            ClientGone: _on_client_gone,
        },
        lifespan=lifespan,
    )


async def _on_client_gone(request: Request, error: Exception) -> Response:
    return Response(status_code=_NOBODY_WAITS)
