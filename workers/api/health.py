"""Answer what the supervisor asks about a worker; neither question waits for the engine thread."""

from starlette.requests import Request
from starlette.responses import Response

from mlxd.workers.api.wire import json_response
from mlxd.workers.engine.handle import Engine


async def health(request: Request) -> Response:
    """Answer `GET /health`."""
    return json_response({"status": "ok"})


async def batch_stats(request: Request) -> Response:
    """Answer `GET /v1/batch/stats`."""
    engine: Engine = request.app.state.engine
    return json_response(engine.stats())
