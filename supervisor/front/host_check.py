"""Refuse what a foreign web page could send: by its Host (DNS rebinding) and by its Origin."""

from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mlxd.config.settings import Server
from mlxd.protocol.errors import ForbiddenHost
from mlxd.supervisor.front import refusal

_ANY = "*"
_PREFLIGHT_SECONDS = "600"
_METHODS = "GET, HEAD, POST, DELETE, OPTIONS"
_EXPOSED = "x-request-id, retry-after, x-mlxd-context"
_WILDCARD_ADDRESSES = frozenset({"", "0.0.0.0", "::"})


class HostCheck:
    """Let in who names us by an allowed host and comes from nowhere, from such a host or from a listed origin."""

    def __init__(self, app: ASGIApp, server: Server) -> None:
        self._app = app
        self._hosts = {_bare(host) for host in server.allowed_hosts}
        self._hosts |= {_bare(server.host)} - _WILDCARD_ADDRESSES
        self._origins = {origin.rstrip("/").lower() for origin in server.cors_origins}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer preflights of listed origins here; run the app for all else that is allowed."""
        headers = Headers(scope=scope)
        origin = headers.get("origin")
        if not self._is_host(headers.get("host", "")):
            reason = f"the host {headers.get('host', '')!r} is not in server.allowed_hosts"
        elif origin is not None and not (self._is_listed(origin) or self._is_ours(origin)):
            reason = f"the origin {origin!r} is not in server.cors_origins"
        elif origin is not None and self._is_listed(origin):
            await self._share(origin, headers, scope, receive, send)
            return
        else:
            await self._app(scope, receive, send)
            return
        await refusal.response(ForbiddenHost(reason), scope)(scope, receive, send)

    def _is_host(self, host: str) -> bool:
        return _host_of(f"//{host}") in self._hosts

    def _is_listed(self, origin: str) -> bool:
        return _ANY in self._origins or origin.lower() in self._origins

    def _is_ours(self, origin: str) -> bool:
        return _host_of(origin) in self._hosts

    async def _share(
        self, origin: str, headers: Headers, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Let the browser hand the response to the page."""

        async def shared(message: Message) -> None:
            if message["type"] == "http.response.start":
                out = MutableHeaders(scope=message)
                out["access-control-allow-origin"] = origin
                out["access-control-expose-headers"] = _EXPOSED
                out.add_vary_header("Origin")
            await send(message)

        is_preflight = scope["method"] == "OPTIONS" and "access-control-request-method" in headers
        app = _preflight(headers) if is_preflight else self._app
        await app(scope, receive, shared)


def _preflight(headers: Headers) -> Response:
    allowed = {
        "access-control-allow-methods": _METHODS,
        "access-control-allow-headers": headers.get("access-control-request-headers", _ANY),
        "access-control-max-age": _PREFLIGHT_SECONDS,
    }
    if headers.get("access-control-request-private-network") == "true":
        allowed["access-control-allow-private-network"] = "true"
    return Response(status_code=204, headers=allowed)


def _bare(host: str) -> str:
    """Return a configured host as `_host_of` returns one; `::1` may be written without its brackets."""
    return (host.strip("[]") if host.count(":") > 1 else _host_of(f"//{host}") or "").lower()


def _host_of(url: str) -> str | None:
    """Return the host without port and brackets; None for what is no URL, such as the origin `null`."""
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None
