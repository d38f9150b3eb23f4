"""List the models the way Anthropic's clients page through them."""

from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from mlxd.config.spec import ModelSpec
from mlxd.protocol.anthropic_models import ModelInfo, page
from mlxd.protocol.errors import InvalidRequest, ModelNotFound
from mlxd.supervisor.ports import Catalog
from mlxd.supervisor.routes.models import KINDS

_DEFAULT_LIMIT = 20
_MAX_LIMIT = 1000


def routes(catalog: Catalog) -> list[Route]:
    """Return the routes; without the prefix, `/v1/models` is OpenAI's."""
    models = AnthropicModels(catalog)
    return [
        Route("/anthropic/v1/models", models.list_models),
        Route("/anthropic/v1/models/{name:path}", models.show_model),
    ]


@dataclass(frozen=True, slots=True, eq=False)
class AnthropicModels:
    """Answer from the catalogue; loads nothing."""

    catalog: Catalog

    async def list_models(self, request: Request) -> Response:
        """List a page of the models that answer messages."""
        self.catalog.rescan()
        query = request.query_params
        found = [_info(spec) for spec in self.catalog.models() if _answers(spec)]
        return _json(
            page(
                found,
                limit=_limit(query.get("limit")),
                after=query.get("after_id"),
                before=query.get("before_id"),
            )
        )

    async def show_model(self, request: Request) -> Response:
        """Describe the model of an id or alias."""
        name = request.path_params["name"]
        spec = self.catalog.resolve(name)
        if not _answers(spec):
            raise ModelNotFound(name)
        return _json(_info(spec))


def _answers(spec: ModelSpec) -> bool:
    return spec.error is None and spec.kind in KINDS["/v1/messages"]


def _info(spec: ModelSpec) -> ModelInfo:
    return ModelInfo(
        id=spec.id,
        display_name=spec.id,
        created_at=datetime.fromtimestamp(spec.created, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        max_input_tokens=spec.context_length,
        max_tokens=spec.context_length,
    )


def _limit(given: str | None) -> int:
    if given is None:
        return _DEFAULT_LIMIT
    number = int(given) if given.isascii() and given.isdigit() and len(given) < 6 else 0
    if not 1 <= number <= _MAX_LIMIT:
        raise InvalidRequest(
            f"limit: expected a number from 1 to {_MAX_LIMIT}, got {given[:32]!r}", field="limit"
        )
    return number


def _json(content: object) -> Response:
    return Response(msgspec.json.encode(content), media_type="application/json")
