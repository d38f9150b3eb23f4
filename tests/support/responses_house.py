"""Run the real front before a worker's real app: only the tokens come from a script."""

import dataclasses
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import msgspec
import openai
from support.app_server import serving
from support.front import ALIAS, MODEL, FakePool, FakeStatus, FixedCatalog, settings, spec
from support.scripted_engine import ScriptedEngine
from support.tokenizers import CHATML, byte_tokenizer

from mlxd.protocol.control import Used
from mlxd.supervisor.access.access import Access
from mlxd.supervisor.app import build_app
from mlxd.supervisor.responses.responses import Responses
from mlxd.workers.api.app import build

WITHIN = 60.0


@dataclass
class House:
    """Hold all that a test of Responses touches."""

    client: httpx.AsyncClient
    sdk: openai.AsyncOpenAI
    script: ScriptedEngine
    pool: FakePool
    used: list[Used]
    """What the worker reported."""

    def prompt(self, at: int = -1) -> str:
        """Return a prompt that the model was given."""
        return str(self.script.tokenizer.decode(self.script.seen[at].prompt))

    async def respond(self, **fields: Any) -> Any:
        """Return the response to a request."""
        body = {"model": ALIAS, "input": "hi"} | fields
        answer = await self.client.post("/v1/responses", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def refused(self, method: str, path: str, **sent: Any) -> tuple[int, Any]:
        """Return status and error of a request."""
        answer = await self.client.request(method, path, **sent)
        return answer.status_code, answer.json()["error"]


@asynccontextmanager
async def house(
    store: Path | None = None,
    *,
    gate: bool = True,
    limits: dict[str, int] | None = None,
    template: str = CHATML,
    access: Access | None = None,
    **server: Any,
) -> AsyncIterator[House]:
    """Serve; with `gate=False` leases wait until the test opens `pool.gate`."""
    tokenizer = byte_tokenizer(template)
    script = ScriptedEngine(tokenizer, lambda request: tokenizer.encode("Hello, wörld 🙂"))
    named = msgspec.structs.replace(script.model.spec, model_id=MODEL)
    worker = build(dataclasses.replace(script.model, spec=named), script.engine)
    used: list[Used] = []
    worker.state.report = used.append
    # No event that only says that we still work, unless a test wants one: a loop that is held up makes more of them.
    chosen = settings(**{"keepalive_interval": 600.0} | server)
    chosen = msgspec.structs.replace(
        chosen, responses=msgspec.structs.replace(chosen.responses, **(limits or {}))
    )
    # Not tmp_path: a Unix socket's path must stay short.
    with tempfile.TemporaryDirectory(prefix="mlxd-", dir="/tmp") as folder:
        socket = Path(folder) / "worker.sock"
        async with serving(worker, socket):
            pool = FakePool(str(socket))
            if gate:
                pool.gate.set()
            responses = Responses(chosen, pool, store)
            app = build_app(
                chosen, FixedCatalog(spec()), pool, FakeStatus(), responses, access=access
            )
            try:
                async with serving(app) as served, clients(served.url) as (client, sdk):
                    yield House(client, sdk, script, pool, used)
            finally:
                await responses.close()
                worker.state.pipeline.close()
                script.stop()


@asynccontextmanager
async def clients(url: str) -> AsyncIterator[tuple[httpx.AsyncClient, openai.AsyncOpenAI]]:
    """Give a plain client and the official one."""
    async with httpx.AsyncClient(base_url=url, timeout=WITHIN) as client:
        async with openai.AsyncOpenAI(
            base_url=f"{url}/v1", api_key="none", max_retries=0, timeout=WITHIN
        ) as sdk:
            yield client, sdk
