"""Put the HTTP front together: a table of routes behind the checks that every request passes."""

import os

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware

from mlxd.config.paths import Paths
from mlxd.config.settings import Settings
from mlxd.supervisor.access.access import Access
from mlxd.supervisor.access.tenant_views import TenantCatalog, TenantPool, TenantStatus
from mlxd.supervisor.downloads import routes as downloads_routes
from mlxd.supervisor.downloads.downloads import Downloads
from mlxd.supervisor.front import refusal
from mlxd.supervisor.front.auth import KeyCheck
from mlxd.supervisor.front.host_check import HostCheck
from mlxd.supervisor.front.refusal import Refusals
from mlxd.supervisor.front.request_trace import RequestTrace
from mlxd.supervisor.front.slow_clients import BodyPace
from mlxd.supervisor.logs import journal_routes
from mlxd.supervisor.logs.journal import Journal
from mlxd.supervisor.metrics import route as metrics_route
from mlxd.supervisor.metrics.metrics import Metrics
from mlxd.supervisor.ollama import calls as ollama_calls
from mlxd.supervisor.ollama import downloads as ollama_downloads
from mlxd.supervisor.ollama import models as ollama_models
from mlxd.supervisor.ports import Catalog, Pool, Status
from mlxd.supervisor.responses.responses import Responses
from mlxd.supervisor.routes import admin as admin_routes
from mlxd.supervisor.routes import anthropic_models, voices
from mlxd.supervisor.routes import keys as key_routes
from mlxd.supervisor.routes import models as model_routes
from mlxd.supervisor.web import page


def build_app(
    settings: Settings,
    catalog: Catalog,
    pool: Pool,
    status: Status,
    responses: Responses | None = None,
    journal: Journal | None = None,
    downloads: Downloads | None = None,
    access: Access | None = None,
    metrics: Metrics | None = None,
) -> Starlette:
    """Return the app; what it keeps is in `responses`, by default in memory, and `journal` is what happens.

    Without an `access` there is no key but the one of the settings; of workers `metrics` know what they are told.
    """
    access = access or Access(settings.server)
    metrics = metrics or Metrics()
    scrapes = metrics_route.routes(metrics, catalog, status, access)
    # Whatever a route does with these, it does within the rights of the key that called it.
    status = TenantStatus(status, catalog)
    waited = metrics.waited
    responses = responses or Responses(settings, pool, waited=waited)
    catalog, pool = TenantCatalog(catalog), TenantPool(pool, waited)
    downloads = downloads or Downloads(Paths.of(os.environ), catalog, pool, settings=settings)
    routes = [
        *model_routes.routes(settings, catalog, pool),
        *voices.routes(catalog),
        *responses.routes(catalog),
        *anthropic_models.routes(catalog),
        *ollama_calls.routes(settings, catalog, pool),
        *ollama_models.routes(settings, catalog, status),
        *ollama_downloads.routes(settings, catalog, pool, downloads),
        *journal_routes.routes(settings, journal or Journal()),
        *downloads_routes.routes(settings, downloads),
        *admin_routes.routes(settings, catalog, pool, status),
        *scrapes,
        *key_routes.routes(settings, access.keys),
        *page.routes(),
    ]
    app = Starlette(
        routes=routes,
        middleware=[
            Middleware(RequestTrace, metrics.ended),
            Middleware(HostCheck, settings.server),
            Middleware(Refusals),
            Middleware(BodyPace, settings.server.client_timeout),
            Middleware(KeyCheck, access, routes),
        ],
        exception_handlers={HTTPException: refusal.on_http_exception},
    )
    # A path with one slash too many is a wrong path, not one to be sent elsewhere.
    app.router.redirect_slashes = False
    return app
