"""Put the parts of Responses together: the store, the jobs, the routes."""

from pathlib import Path

from starlette.routing import Route

from mlxd.config.settings import Settings
from mlxd.supervisor.access.tenant_views import TenantPool, Waited, untold
from mlxd.supervisor.ports import Catalog, Pool
from mlxd.supervisor.responses.call import PATH, ResponsesCall
from mlxd.supervisor.responses.conversations import Conversations
from mlxd.supervisor.responses.jobs import Jobs
from mlxd.supervisor.responses.routes import StoredResponses
from mlxd.supervisor.responses.store import ResponseStore


class Responses:
    """Own what outlives a request: the store, at `path` or in memory, and the background jobs."""

    def __init__(
        self, settings: Settings, pool: Pool, path: Path | None = None, *, waited: Waited = untold
    ) -> None:
        self._settings, self._pool = settings, TenantPool(pool, waited)
        self._store = ResponseStore(path, settings.responses)
        self._jobs = Jobs(self._pool, self._store)

    def routes(self, catalog: Catalog) -> list[Route]:
        """Return the routes of responses and conversations."""
        settings, store, jobs = self._settings, self._store, self._jobs
        stored = StoredResponses(store, jobs, settings.server.longest_silence)
        call = ResponsesCall(settings, catalog, self._pool, store, jobs)
        one = f"{PATH}/{{response_id}}"
        return [
            Route(PATH, call, methods=["POST"]),
            Route(one, stored.retrieve, methods=["GET"]),
            Route(one, stored.delete, methods=["DELETE"]),
            Route(f"{one}/cancel", stored.cancel, methods=["POST"]),
            Route(f"{one}/input_items", stored.input_items, methods=["GET"]),
            *Conversations(settings, store).routes(),
        ]

    async def close(self) -> None:
        """Cancel the jobs and close the file."""
        await self._jobs.close()
        await self._store.close()
