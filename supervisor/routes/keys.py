"""Serve `mlxctl keys`: list, make, replace and revoke API keys."""

from dataclasses import dataclass
from typing import TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from mlxd.config.settings import Settings
from mlxd.protocol import request_body
from mlxd.protocol.keys import KeyList, KeyRequest, Revoked, RotateRequest
from mlxd.supervisor.access import tenant
from mlxd.supervisor.access.keys import Keys
from mlxd.supervisor.front import body

PATH = "/v1/keys"
T = TypeVar("T")
_NOT_KEPT = {"cache-control": "no-store"}
_nothing = request_body.Refused({})


def routes(settings: Settings, keys: Keys) -> list[Route]:
    """Return the routes; all of them need the admin right."""
    served = KeyRoutes(settings, keys)
    return [
        Route(PATH, served.list_keys, methods=["GET"]),
        Route(PATH, served.add, methods=["POST"]),
        Route(f"{PATH}/{{name}}", served.revoke, methods=["DELETE"]),
        Route(f"{PATH}/{{name}}/rotate", served.rotate, methods=["POST"]),
    ]


@dataclass(frozen=True, slots=True, eq=False)
class KeyRoutes:
    """Answer from the keys; one that was just made is shown, once."""

    settings: Settings
    keys: Keys

    async def list_keys(self, request: Request) -> Response:
        """List the keys, without what opens anything."""
        now = self.keys.clock()
        return _json(KeyList([record.info(now) for record in self.keys.ring().records]))

    async def add(self, request: Request) -> Response:
        """Make a key."""
        wanted = await self._read(request, KeyRequest)
        tenant.calling().about = wanted.name
        return _json(self.keys.add(wanted), 201)

    async def rotate(self, request: Request) -> Response:
        """Replace a key; the old one is worth nothing from now on, or once its grace is over."""
        tenant.calling().about = request.path_params["name"]
        wanted = await self._read(request, RotateRequest)
        return _json(self.keys.rotate(request.path_params["name"], wanted.grace))

    async def revoke(self, request: Request) -> Response:
        """Forget a key."""
        tenant.calling().about = request.path_params["name"]
        gone = self.keys.revoke(request.path_params["name"])
        return _json(Revoked(gone.name, len(self.keys.ring().records)))

    async def _read(self, request: Request, kind: type[T]) -> T:
        limit = self.settings.server.max_body
        content = await body.read(request.headers, request.receive, limit)
        return request_body.decode(content or b"{}", msgspec.json.Decoder(kind), _nothing)


def _json(content: object, status: int = 200) -> Response:
    encoded = msgspec.json.encode(content)
    return Response(encoded, status, headers=_NOT_KEPT, media_type="application/json")
