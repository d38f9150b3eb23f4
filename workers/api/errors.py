"""Answer every failure in the shape of the dialect that was spoken; nothing leaves as a traceback."""

import logging

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mlxd.protocol import render
from mlxd.protocol.control import ERROR
from mlxd.protocol.dialect import of_path
from mlxd.protocol.errors import (
    InternalError,
    InvalidRequest,
    MethodNotAllowed,
    MlxdError,
    RouteNotFound,
)
from mlxd.workers.api.wire import json_response
from mlxd.workers.engine import account

_log = logging.getLogger(__name__)


def error_response(error: MlxdError, path: str) -> Response:
    """Render an error as a whole response."""
    dialect = of_path(path)
    return json_response(
        render.body(error, dialect),
        status=render.status(error, dialect),
        headers={**render.headers(error), ERROR: error.code},
    )


def foreseen(error: Exception, path: str) -> MlxdError:
    """Return the error to show; one that nobody foresaw is logged with its traceback and shows as InternalError."""
    if isinstance(error, MlxdError):
        if error.status >= 500:
            _log.warning("%s: %s: %s", path, error.code, error.message)
        shown = error
    else:
        _log.error("%s: unforeseen failure", path, exc_info=error)
        shown = InternalError("something unforeseen happened; the worker's log says what")
    account.current().error = shown.code
    return shown


async def on_mlxd_error(request: Request, error: Exception) -> Response:
    """Answer an MlxdError."""
    path = request.url.path
    return error_response(foreseen(error, path), path)


async def on_http_error(request: Request, error: Exception) -> Response:
    """Answer what the router refuses: an unknown path, a wrong method."""
    assert isinstance(error, HTTPException)
    path, method = request.url.path, request.method
    known: MlxdError
    match error.status_code:
        case 404:
            known = RouteNotFound(f"no route is named {path}")
        case 405:
            known = MethodNotAllowed(f"{path} does not take {method}")
        case _:
            known = InvalidRequest(error.detail)
    response = error_response(known, path)
    response.headers.update(error.headers or {})
    return response


class Boundary:
    """Stand around the whole app: what nobody foresaw becomes InternalError where no response has begun."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the app for one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = False

        async def watched(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except Exception as error:
            shown = foreseen(error, scope["path"])
            if not begun:
                await error_response(shown, scope["path"])(scope, receive, send)
