"""Answer what Ollama's clients ask about models and the server; nothing here loads one."""

import asyncio
import math
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version

import msgspec
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from mlxd.config import chat_template
from mlxd.config.settings import Settings
from mlxd.config.spec import ModelSpec
from mlxd.protocol import ollama_models as wire
from mlxd.protocol import request_body, template_words
from mlxd.protocol.admin import ModelStatus
from mlxd.protocol.errors import InvalidRequest, ModelNotFound
from mlxd.protocol.kinds import ModelKind
from mlxd.protocol.lifecycle import WorkerState
from mlxd.supervisor.front import body
from mlxd.supervisor.ollama.calls import KINDS, named
from mlxd.supervisor.ports import Catalog, Status

SPOKEN = "0.12.11"
"""The release of Ollama whose API this is; clients refuse to work with what they take for an old one."""
_FAR = 100 * 365 * 86400.0
"""Seconds after which a model is gone that never goes."""
_LOADED = (WorkerState.READY, WorkerState.DRAINING)
_ANSWERING = frozenset().union(*KINDS.values())
_show = msgspec.json.Decoder(wire.ShowRequest)
_nothing = request_body.Refused({})


def routes(settings: Settings, catalog: Catalog, status: Status) -> list[Route]:
    """Return the routes."""
    models = OllamaModels(settings, catalog, status)
    return [
        Route("/", models.alive),
        Route("/api/version", models.version),
        Route("/api/tags", models.tags),
        Route("/api/ps", models.ps),
        Route("/api/show", models.show, methods=["POST"]),
    ]


@dataclass(frozen=True, slots=True, eq=False)
class OllamaModels:
    """Answer from catalogue and status."""

    settings: Settings
    catalog: Catalog
    status: Status

    async def alive(self, request: Request) -> Response:
        """Say that somebody is here, in the words clients look for."""
        return PlainTextResponse("Ollama is running")

    async def version(self, request: Request) -> Response:
        """Say which API this is."""
        return _json(wire.Version(SPOKEN, version("mlxd")))

    async def tags(self, request: Request) -> Response:
        """List the models that one of Ollama's routes can ask."""
        self.catalog.rescan()
        found = [spec for spec in self.catalog.models() if _answers(spec)]
        return _json(wire.Tags([_listed(spec) for spec in found]))

    async def ps(self, request: Request) -> Response:
        """List the models that are loaded."""
        running = []
        for model in await self.status.ps():
            if model.state in _LOADED and (spec := self._known(model.id)) is not None:
                running.append(_running(spec, model, time.time()))
        return _json(wire.Running(running))

    async def show(self, request: Request) -> Response:
        """Describe one model."""
        limit = self.settings.server.max_body
        content = await body.read(request.headers, request.receive, limit)
        asked = request_body.decode(content, _show, _nothing)
        name = asked.model or asked.name
        if not name:
            raise InvalidRequest("model: expected the name of a model", field="model")
        spec = named(self.catalog, name)
        spec.check()
        template = await asyncio.to_thread(chat_template.read, spec)
        return _json(_shown(spec, template or ""))

    def _known(self, model_id: str) -> ModelSpec | None:
        try:
            return self.catalog.resolve(model_id)
        except ModelNotFound:  # its entry went while it runs
            return None


def _answers(spec: ModelSpec) -> bool:
    return spec.error is None and spec.kind in _ANSWERING


def _listed(spec: ModelSpec) -> wire.ListedModel:
    return wire.ListedModel(
        name=spec.id,
        model=spec.id,
        modified_at=_time(spec.created),
        size=spec.weights_bytes,
        digest=wire.digest(spec.id, spec.revision),
        details=_details(spec),
    )


def _running(spec: ModelSpec, model: ModelStatus, now: float) -> wire.RunningModel:
    """Describe a worker; while it answers, or where it stays, it is said to go when it would at the earliest."""
    expires = model.expires_at
    if expires is None:
        expires = now + (_FAR if model.pinned else min(spec.idle_timeout, _FAR))
    return wire.RunningModel(
        name=spec.id,
        model=spec.id,
        size=model.memory_bytes,
        digest=wire.digest(spec.id, spec.revision),
        details=_details(spec),
        expires_at=_time(min(expires, now + _FAR) if math.isfinite(expires) else now + _FAR),
        size_vram=model.memory_bytes,
        context_length=spec.context_length,
    )


def _shown(spec: ModelSpec, template: str) -> wire.Shown:
    family = wire.family(spec.architecture)
    info: dict[str, object] = {
        "general.architecture": family,
        "general.basename": spec.id,
        "general.parameter_count": wire.parameter_count(
            spec.weights_bytes - spec.draft_bytes, spec.quantization_bits
        ),
    }
    if spec.context_length is not None:
        info[f"{family}.context_length"] = spec.context_length
    return wire.Shown(
        template=template,
        details=_details(spec),
        model_info=info,
        capabilities=_capabilities(spec, template),
        modified_at=_time(spec.created),
    )


def _capabilities(spec: ModelSpec, template: str) -> list[str]:
    if spec.kind is ModelKind.EMBEDDING:
        return ["embedding"]
    if spec.kind not in KINDS["/api/chat"]:
        return []
    found = {
        "completion": True,
        "vision": spec.kind is ModelKind.VISION,
        "tools": template_words.offers_tools(template),
        "thinking": template_words.thinks(template),
    }
    return [name for name, has in found.items() if has]


def _details(spec: ModelSpec) -> wire.Details:
    family, bits = wire.family(spec.architecture), spec.quantization_bits
    count = wire.parameter_count(spec.weights_bytes - spec.draft_bytes, bits)
    return wire.Details(
        family=family,
        families=[family],
        parameter_size=wire.parameter_size(count),
        quantization_level="none" if bits is None else f"Q{bits}",
    )


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


def _json(content: object) -> Response:
    return Response(msgspec.json.encode(content), media_type="application/json")
