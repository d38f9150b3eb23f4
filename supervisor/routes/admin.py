"""Serve what operators and `mlxctl` ask: which models there are, what runs, and to load or unload one."""

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from mlxd.config.settings import Settings
from mlxd.config.spec import ModelSpec
from mlxd.protocol.admin import LoadRequest, Ps, ResetRequest, UnloadRequest
from mlxd.protocol.errors import InvalidRequest, ModelNotFound
from mlxd.protocol.peek import invalid
from mlxd.protocol.plan import PlanRequest
from mlxd.protocol.units import parse_duration
from mlxd.supervisor.front import auth, body
from mlxd.supervisor.front.presence import while_present
from mlxd.supervisor.ports import Catalog, Pool, Status
from mlxd.supervisor.routes.model_entry import entry

T = TypeVar("T")

_CHECK_S = 2.0
_NAMED_FIELD = re.compile(r"field `([^`]+)`")


def routes(settings: Settings, catalog: Catalog, pool: Pool, status: Status) -> list[Route]:
    """Return the routes of this module, the more special ones first."""
    admin = Admin(settings, catalog, pool, status)
    return [
        Route(auth.OPEN_PATH, admin.health),
        Route("/v1/ready", admin.ready),
        Route("/v1/ps", admin.ps),
        Route("/v1/queue/stats", admin.queue_stats),
        Route("/v1/batch/stats", admin.batch_stats),
        Route("/v1/models", admin.list_models),
        Route("/v1/models/load", admin.load, methods=["POST"]),
        Route("/v1/models/unload", admin.unload, methods=["POST"]),
        Route("/v1/models/reset", admin.reset, methods=["POST"]),
        Route("/v1/models/plan", admin.plan, methods=["POST"]),
        Route("/v1/models/{name:path}", admin.show_model),
    ]


@dataclass(frozen=True, slots=True, eq=False)
class Admin:
    """Answer from catalogue, pool and status; what only reads moves no timer and loads nothing."""

    settings: Settings
    catalog: Catalog
    pool: Pool
    status: Status

    async def health(self, request: Request) -> Response:
        """Say that the daemon lives."""
        return _json({"status": "ok", "version": version("mlxd")})

    async def ready(self, request: Request) -> Response:
        """Say whether a model call has a chance, and which check says no."""
        checks = {"models": self._check_models(), "workers": await self._check_workers()}
        is_ready = all(check["ok"] for check in checks.values())
        state = "ready" if is_ready else "not_ready"
        return _json({"status": state, "checks": checks}, 200 if is_ready else 503)

    async def ps(self, request: Request) -> Response:
        """Say what runs."""
        return _json(Ps(await self.status.ps()))

    async def queue_stats(self, request: Request) -> Response:
        """Say who waits for what."""
        return _json(self.status.queue_stats())

    async def batch_stats(self, request: Request) -> Response:
        """Say what each worker's batch does."""
        return _json(await self.status.batch_stats())

    async def list_models(self, request: Request) -> Response:
        """List the models that can be served, those new on the disk too; on demand, the others with why not."""
        self.catalog.rescan()
        wants_all = request.query_params.get("all", "").lower() in ("1", "true")
        found = self.catalog.models() if wants_all else self._servable()
        return _json({"object": "list", "data": [self._entry(spec) for spec in found]})

    async def show_model(self, request: Request) -> Response:
        """Describe the model of an id or alias."""
        return _json(self._entry(self.catalog.resolve(request.path_params["name"])))

    async def load(self, request: Request) -> Response:
        """Have a model ready; answers when it is."""
        wanted = await self._read(request, LoadRequest)
        spec = self.catalog.resolve(wanted.model)
        spec.check()
        work = self.pool.load(spec, keep_alive=_duration(wanted.keep_alive), pinned=wanted.pin)
        return _json(await while_present(request.receive, work))

    async def unload(self, request: Request) -> Response:
        """Have a model's worker leave; answers when its process is gone."""
        wanted = await self._read(request, UnloadRequest)
        work = self.pool.unload(self._declared_or_running(wanted.model), force=wanted.force)
        return _json(await while_present(request.receive, work))

    async def reset(self, request: Request) -> Response:
        """Forget a model's failures: the next request tries it again."""
        wanted = await self._read(request, ResetRequest)
        return _json(self.pool.reset(self.catalog.resolve(wanted.model)))

    async def plan(self, request: Request) -> Response:
        """Say what a load would do; loads nothing and moves no timer."""
        wanted = await self._read(request, PlanRequest)
        spec = self.catalog.resolve(wanted.model)
        spec.check()
        return _json(self.pool.plan(spec))

    def _declared_or_running(self, name: str) -> ModelSpec:
        try:
            return self.catalog.resolve(name)
        except ModelNotFound:
            # Taken from the configuration or the disk while it ran: there must be a way to end it.
            if (spec := self.pool.running(name)) is None:
                raise
            return spec

    async def _read(self, request: Request, kind: type[T]) -> T:
        limit = self.settings.server.max_body
        return decoded(await body.read(request.headers, request.receive, limit), kind)

    def _servable(self) -> list[ModelSpec]:
        return [spec for spec in self.catalog.models() if spec.error is None]

    def _entry(self, spec: ModelSpec) -> dict[str, object]:
        return entry(spec, self.pool.state(spec.id), self.pool.last_used_at(spec.id))

    def _check_models(self) -> Mapping[str, object]:
        count = len(self._servable())
        return {"ok": count > 0, "servable": count}

    async def _check_workers(self) -> Mapping[str, object]:
        """Check that the workers can be asked, whatever they answer."""
        try:
            running = await asyncio.wait_for(self.status.ps(), _CHECK_S)
        except TimeoutError:
            return {"ok": False, "reason": f"no answer within {_CHECK_S:g} s"}
        return {"ok": True, "running": sum(model.pid is not None for model in running)}


def _json(content: object, status: int = 200) -> Response:
    return Response(msgspec.json.encode(content), status_code=status, media_type="application/json")


def decoded(content: bytes, kind: type[T]) -> T:
    """Read a JSON body; raises InvalidRequest that names the field."""
    try:
        return msgspec.json.decode(content, type=kind)
    except msgspec.ValidationError as error:
        refused = invalid(error)
        if refused.field is None and (named := _NAMED_FIELD.search(refused.message)):
            refused.field = named[1]
        raise refused from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequest(f"the body is not valid JSON: {error}") from None


def _duration(value: str | int | float | None) -> float | None:
    if value is None:
        return None
    try:
        return parse_duration(value)
    except ValueError as error:
        raise InvalidRequest(f"keep_alive: {error}", field="keep_alive") from None
