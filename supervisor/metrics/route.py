"""Serve `GET /metrics`."""

import asyncio
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from mlxd.supervisor.access.access import Access
from mlxd.supervisor.metrics.metrics import Metrics
from mlxd.supervisor.ports import Catalog, Status

PATH = "/metrics"


def routes(metrics: Metrics, catalog: Catalog, status: Status, access: Access) -> list[Route]:
    """Return the route; what is so at that moment is asked of `status`."""
    return [Route(PATH, Scrape(metrics, catalog, status, access).answer)]


@dataclass(frozen=True, slots=True, eq=False)
class Scrape:
    """Answer Prometheus."""

    metrics: Metrics
    catalog: Catalog
    """With the models of everybody: whoever may scrape may know them."""
    status: Status
    access: Access

    async def answer(self, request: Request) -> Response:
        """Write the page; waits for no worker."""
        self.metrics.look(
            self.status.glance(),
            models=(spec.id for spec in self.catalog.models()),
            keys=self.access.names(),
        )
        # Thousands of lines take their time, in which streams go on.
        accept = request.headers.get("accept", "")
        page, content_type = await asyncio.to_thread(self.metrics.page, accept)
        return Response(page, headers={"content-type": content_type})
