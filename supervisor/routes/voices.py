"""Say which voices there are; that stands in the models' folders, so that nothing is loaded for it."""

import asyncio
from dataclasses import dataclass

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from mlxd.config.spec import ModelSpec
from mlxd.protocol import voices
from mlxd.protocol.kinds import ModelKind
from mlxd.protocol.openai_speech import Voice, Voices
from mlxd.supervisor.ports import Catalog
from mlxd.supervisor.routes.models import resolve

PATH = "/v1/audio/voices"


def routes(catalog: Catalog) -> list[Route]:
    """Return the route."""
    return [Route(PATH, VoiceList(catalog).show, methods=["GET"])]


@dataclass(frozen=True, slots=True, eq=False)
class VoiceList:
    """Answer from the catalogue."""

    catalog: Catalog

    async def show(self, request: Request) -> Response:
        """List the voices of `model`, without it those of all models that speak."""
        name = request.query_params.get("model")
        if name:
            models = [resolve(self.catalog, name, PATH, frozenset({ModelKind.SPEECH}))]
        else:
            self.catalog.rescan()
            models = [
                spec
                for spec in self.catalog.models()
                if spec.kind is ModelKind.SPEECH and spec.error is None
            ]
        found = await asyncio.to_thread(_of, models)
        content = msgspec.json.encode(Voices(data=found, voices=found))
        return Response(content, media_type="application/json")


def _of(models: list[ModelSpec]) -> list[Voice]:
    return [
        Voice(id=name, name=name, model=spec.id)
        for spec in models
        for name in voices.names(spec.path) or ["default"]
    ]
