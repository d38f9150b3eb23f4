"""Run the real front behind API keys, before a pool that holds one scripted worker."""

import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from starlette.applications import Starlette
from starlette.routing import Route
from support.app_server import Serving, serving
from support.front import MODEL, FakePool, FakeStatus, FixedCatalog, settings, spec
from support.upstream_app import ScriptedWorker, scripted_worker

from mlxd.protocol.keys import KeyRequest
from mlxd.supervisor.access.access import Access
from mlxd.supervisor.app import build_app

OTHER = "org/other"
START = 1_000_000.0


class Times:
    """Be both clocks of a test; nothing moves unless the test says so."""

    def __init__(self) -> None:
        self.now = START
        self._stepped = 0.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now

    def monotonic(self) -> float:
        """Return the time of the clock that nobody sets."""
        return self.now - self._stepped

    def step(self, seconds: float) -> None:
        """Set the clock on the wall, as the network's time does after a start with a wrong one."""
        self.now += seconds
        self._stepped += seconds


@dataclass
class KeyedFront:
    """Hold all that a test of keys touches."""

    client: httpx.AsyncClient
    app: Starlette
    access: Access
    times: Times
    pool: FakePool
    worker: ScriptedWorker
    server: Serving
    folder: Path

    def key(self, name: str = "laptop", **limits: Any) -> str:
        """Make a key and return it."""
        return self.access.keys.add(KeyRequest(name=name, **limits)).key

    async def ask(
        self, method: str, path: str, key: str | None, **more: Any
    ) -> tuple[httpx.Response, str | None]:
        """Return the head of an answer and the code of its error; an answer that goes on is left."""
        headers = {"x-api-key": key} if key else {}
        body: dict[str, Any] = {"model": MODEL}
        if not path.startswith("/v1/models/"):
            body |= {"messages": [], "input": "hi", "prompt": "hi"}
        given: dict[str, Any] = {"json": body} if method in ("POST", "DELETE") else {}
        async with self.client.stream(method, path, headers=headers, **given | more) as response:
            if response.status_code < 400:
                return response, None
            await response.aread()
        return response, code_of(response)


def code_of(response: httpx.Response) -> str:
    """Return the code of an error in whatever dialect."""
    body = response.json()
    code = body["code"] if isinstance(body["error"], str) else body["error"]["code"]
    return str(code)


def routes_of(app: Starlette) -> Iterator[tuple[str, str]]:
    """Yield method and path of everything the app serves, with something in the place of each parameter."""
    for route in app.routes:
        assert isinstance(route, Route)
        for method in sorted((route.methods or set()) - {"HEAD"}):
            path = route.path.replace("{name:path}", MODEL).replace("{name}", "nobody")
            yield method, path.replace("{", "").replace("}", "")


@asynccontextmanager
async def keyed_front(**server: Any) -> AsyncIterator[KeyedFront]:
    """Serve a front whose keys and audit are files."""
    with tempfile.TemporaryDirectory(prefix="mlxd-", dir="/tmp") as name:
        folder, times = Path(name), Times()
        async with scripted_worker(folder) as worker:
            pool = FakePool(str(worker.socket))
            pool.gate.set()
            known = settings(**server)
            access = Access(
                known.server, state_dir=folder, log_dir=folder, own_key="own", clock=times,
                monotonic=times.monotonic,
            )  # fmt: skip
            catalog = FixedCatalog(spec(), spec(OTHER))
            app = build_app(known, catalog, pool, FakeStatus(), access=access)
            async with serving(app) as served:
                async with httpx.AsyncClient(base_url=served.url, timeout=60) as client:
                    yield KeyedFront(client, app, access, times, pool, worker, served, folder)
