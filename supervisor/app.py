"""Put the HTTP front together: a table of routes behind the checks that every request passes."""

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware

from mlxd.config.settings import Settings
from mlxd.supervisor import (
    admin_routes,
    anthropic_models,
    model_routes,
    ollama_calls,
    ollama_models,
    refusal,
)
from mlxd.supervisor.auth import KeyCheck
from mlxd.supervisor.host_check import HostCheck
from mlxd.supervisor.ports import Catalog, Pool, Status
from mlxd.supervisor.refusal import Refusals
from mlxd.supervisor.request_trace import RequestTrace
from mlxd.supervisor.responses import Responses


def build_app(
    settings: Settings,
    catalog: Catalog,
    pool: Pool,
    status: Status,
    responses: Responses | None = None,
) -> Starlette:
    """Return the app; what it keeps is in `responses`, by default in memory."""
    responses = responses or Responses(settings, pool)
    app = Starlette(
        routes=[
            *model_routes.routes(settings, catalog, pool),
            *responses.routes(catalog),
            *anthropic_models.routes(catalog),
            *ollama_calls.routes(settings, catalog, pool),
            *ollama_models.routes(settings, catalog, status),
            *admin_routes.routes(settings, catalog, pool, status),
        ],
        middleware=[
            Middleware(RequestTrace),
            Middleware(HostCheck, settings.server),
            Middleware(Refusals),
            Middleware(KeyCheck, settings.server),
        ],
        exception_handlers={HTTPException: refusal.on_http_exception},
    )
    # A path with one slash too many is a wrong path, not one to be sent elsewhere.
    app.router.redirect_slashes = False
    return app
