"""Turn every error into a response in the caller's dialect, and a worker's refusal back into an error."""

import logging
from collections.abc import Iterator, Mapping

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mlxd.protocol import dialect, render
from mlxd.protocol.errors import (
    ConfigError,
    InternalError,
    InvalidRequest,
    MethodNotAllowed,
    MlxdError,
    RouteNotFound,
)
from mlxd.supervisor.front import request_trace
from mlxd.supervisor.front.body import ClientGone

logger = logging.getLogger("mlxd.front")


def response(error: MlxdError, scope: Scope, headers: Mapping[str, str] | None = None) -> Response:
    """Return the error as the path's dialect writes it, and note it for the log."""
    request_trace.of(scope).error = error.code
    speech = dialect.of_path(scope["path"])
    status = render.status(error, speech)
    challenge = {"www-authenticate": "Bearer"} if status == 401 else {}
    return Response(
        msgspec.json.encode(render.body(error, speech)),
        status_code=status,
        headers={**render.headers(error), **challenge, **(headers or {})},
        media_type="application/json",
    )


async def on_http_exception(request: Request, error: Exception) -> Response:
    """Answer what the router raises: no such route, or not with this method."""
    assert isinstance(error, HTTPException)
    path, method = request.scope["path"], request.method
    if error.status_code == 405 and method == "OPTIONS":
        return Response(status_code=204, headers=error.headers)
    refused: MlxdError
    if error.status_code == 404:
        refused = RouteNotFound(f"no route has the path {path}")
    elif error.status_code == 405:
        refused = MethodNotAllowed(f"{path} does not take {method}")
    else:
        refused = InvalidRequest(error.detail)
    return response(refused, request.scope, error.headers)


class Refusals:
    """Catch every error of the app inside, as ASGI middleware."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the app; an error before the first byte becomes a response, a later one cuts the response off."""
        started = False

        async def watched(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except ClientGone:
            raise
        except MlxdError as error:
            refused = unbound(error)
        except Exception:
            refused = unforeseen(scope)
        else:
            return
        if not started:
            await response(refused, scope)(scope, receive, send)


def unbound(error: MlxdError) -> MlxdError:
    """Return the error without the frames it came through: one of them will hold it, and others hold megabytes of body.

    Such a circle is freed only when the collector happens to run, which in an idle daemon it does not.
    """
    return error.with_traceback(None)


def unforeseen(scope: Scope) -> InternalError:
    """Log the exception that is being handled; return what the caller is told instead of it."""
    request_id = request_trace.of(scope).request_id
    logger.exception("unforeseen id=%s path=%s", request_id, scope["path"])
    return InternalError(f"something went wrong inside mlxd; its log has more under {request_id}")


class _Detail(msgspec.Struct):
    message: str = ""
    code: str | None = None
    param: str | None = None


class _Refused(msgspec.Struct):
    error: _Detail | str
    code: str | None = None


def from_worker(status: int, body: bytes) -> MlxdError:
    """Return the error that a worker has rendered, of the class that its code names."""
    try:
        refused = msgspec.json.decode(body, type=_Refused)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return InternalError(f"the worker answered with status {status}")
    found = refused.error
    detail = _Detail(found, refused.code) if isinstance(found, str) else found
    kind = _BY_CODE.get(detail.code or "", InternalError)
    # Past the constructor of the class: it would compose the sentence that is here already.
    error = kind.__new__(kind)
    MlxdError.__init__(error, detail.message, field=detail.param)
    return error


def _leaves(kind: type[MlxdError]) -> Iterator[type[MlxdError]]:
    """Yield the classes that are raised; those above them only sort them."""
    children = kind.__subclasses__()
    if not children:
        yield kind
    for child in children:
        yield from _leaves(child)


_BY_CODE = {kind.code: kind for kind in _leaves(MlxdError) if kind is not ConfigError}
