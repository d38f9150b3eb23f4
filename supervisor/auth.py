"""Ask for the API key, where one is set, and insist on one where others can reach us."""

import hmac
import ipaddress

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from mlxd.config.settings import Server
from mlxd.protocol.errors import ConfigError, InvalidApiKey

OPEN_PATH = "/health"
"""The one route that answers without a key: it tells that the daemon lives, and nothing else."""


class KeyCheck:
    """Let through who shows the key, as a bearer token or in `x-api-key`."""

    def __init__(self, app: ASGIApp, server: Server) -> None:
        self._app = app
        self._key = server.api_key.encode() if server.api_key else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Raise InvalidApiKey without the key; the sentence never repeats what was sent."""
        if self._key is not None and not _is_open(scope):
            shown = _shown_key(Headers(scope=scope))
            if shown is None:
                raise InvalidApiKey(
                    "an API key is required: Authorization: Bearer KEY, or x-api-key: KEY"
                )
            if not hmac.compare_digest(shown.encode("latin-1"), self._key):
                raise InvalidApiKey("the API key is not known")
        await self._app(scope, receive, send)


def require_key_beyond_loopback(server: Server, address: str) -> None:
    """Raise ConfigError where `address` can be reached from other machines and no key is set."""
    if server.api_key or ipaddress.ip_address(address.partition("%")[0]).is_loopback:
        return
    raise ConfigError(
        f"server.host: {server.host} can be reached from other machines; set server.api_key "
        "(or MLXD_SERVER_API_KEY), or listen on 127.0.0.1"
    )


def _is_open(scope: Scope) -> bool:
    return scope["path"] == OPEN_PATH and scope["method"] in ("GET", "HEAD")


def _shown_key(headers: Headers) -> str | None:
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return token.strip()
    return headers.get("x-api-key")
