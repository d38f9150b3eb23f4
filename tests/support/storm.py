"""Put a supervisor under fire: clients that come and go, workers that are killed, frozen or end by themselves."""

import asyncio
import json
import os
import random
import signal
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
from support.app_server import serving
from support.child import ENTRY
from support.pools import make_pool, quick

from mlxd.config.load import load
from mlxd.config.spec import ModelSpec
from mlxd.protocol.errors import ModelNotFound
from mlxd.supervisor.app import build_app
from mlxd.supervisor.budget import memory
from mlxd.supervisor.clock import SystemClock
from mlxd.supervisor.front import upstream
from mlxd.supervisor.lifecycle.process import Callbacks, Child, SpawnLauncher
from mlxd.supervisor.scheduling.pool import Pool
from mlxd.supervisor.scheduling.worker_pools import WorkerPools
from mlxd.supervisor.status import Status

_POLICY = quick(
    hello_timeout=60, load_stall=20, step_stall=4, drain_timeout=10, ask_grace=1, kill_grace=3,
    stable_after=30, backoff=0.3, backoff_max=2,
)  # fmt: skip
SCRIPTED = "scripted-"


class ByName:
    """Start a scripted child for models called so, and a real worker for the others."""

    def __init__(self) -> None:
        self._real, self._scripted = SpawnLauncher(), SpawnLauncher(ENTRY)

    def start(self, name: str, callbacks: Callbacks) -> Child:
        """Start one."""
        launcher = self._scripted if name.startswith(SCRIPTED) else self._real
        return launcher.start(name, callbacks)


@dataclass
class Declared:
    """Know some models, whose declaration may change at any time, as by a reload."""

    specs: dict[str, ModelSpec]

    def resolve(self, name: str) -> ModelSpec:
        """Return the model of this id."""
        try:
            return self.specs[name]
        except KeyError:
            raise ModelNotFound(name) from None

    def models(self) -> tuple[ModelSpec, ...]:
        """Return all of them."""
        return tuple(self.specs.values())

    def rescan(self) -> None:
        """Find nothing new."""

    def redeclare(self, chance: random.Random) -> None:
        """Change what is said of one model."""
        name = chance.choice(sorted(self.specs))
        changed = replace(
            self.specs[name],
            max_batch=chance.randint(1, 16),
            idle_timeout=chance.choice((0.5, 60.0)),
        )
        self.specs[name] = changed


@dataclass
class Storm:
    """Hold the supervisor and count what became of every request."""

    url: str
    pool: Pool
    catalog: Declared
    chance: random.Random
    over: asyncio.Event = field(default_factory=asyncio.Event)
    outcomes: Counter[str] = field(default_factory=Counter)
    deeds: Counter[str] = field(default_factory=Counter)

    async def pause(self, seconds: float) -> bool:
        """Wait so long or until it is over; tell whether it goes on."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self.over.wait(), seconds)
        return not self.over.is_set()

    async def client(self) -> None:
        """Ask one thing after the other, now and then leaving early."""
        async with httpx.AsyncClient(base_url=self.url, timeout=120) as client:
            while await self.pause(self.chance.uniform(0, 0.2)):
                name = self.chance.choice(sorted(self.catalog.specs))
                body = {
                    "model": name,
                    "messages": [{"role": "user", "content": "Hello"}],
                    "max_tokens": self.chance.randint(1, 60),
                    "stream": True,
                    "ignore_eos": True,
                }
                patience = self.chance.choice((None, None, None, 1, 3))
                self.outcomes[await outcome(client, body, patience)] += 1

    async def killer(self) -> None:
        """Kill, freeze or unload a worker, or change the configuration, about once a second."""
        while await self.pause(self.chance.uniform(0.3, 1.5)):
            pids = [worker.pid for worker in self.pool.workers() if worker.pid]
            deed = self.chance.choice(("kill", "freeze", "unload", "redeclare", "nothing"))
            if deed == "redeclare":
                self.catalog.redeclare(self.chance)
            elif deed == "unload":
                spec = self.chance.choice(self.catalog.models())
                with suppress(TimeoutError):
                    await asyncio.wait_for(self.pool.unload(spec, force=True), 30)
            elif pids and deed in ("kill", "freeze"):
                with suppress(ProcessLookupError):
                    number = signal.SIGKILL if deed == "kill" else signal.SIGSTOP
                    os.kill(self.chance.choice(pids), number)
            self.deeds[deed] += 1


async def outcome(client: httpx.AsyncClient, body: dict[str, object], patience: int | None) -> str:
    """Return what became of a request: answered, left, an error of ours; anything else is a defect."""
    events: list[str] = []
    try:
        async with client.stream("POST", "/v1/chat/completions", json=body) as response:
            if response.status_code != 200:
                return _refused(await response.aread())
            async for line in response.aiter_lines():
                if line.startswith("data: "):
                    events.append(line[6:])
                if patience is not None and len(events) > patience:
                    return "left"
    except httpx.RemoteProtocolError:
        return _refused(events[-1].encode() if events else b"cut off without a word")
    return "answered" if events and events[-1] == "[DONE]" else _refused(events[-1:] or b"nothing")


def _refused(body: bytes | Sequence[str]) -> str:
    text = body if isinstance(body, bytes) else "".join(body).encode()
    try:
        return f"error {json.loads(text)['error']['code']}"
    except (ValueError, KeyError, TypeError):
        return f"DEFECT {text[:200]!r}"


@asynccontextmanager
async def storm(
    models: Sequence[ModelSpec], run_dir: Path, seed: int, **times: Any
) -> AsyncIterator[Storm]:
    """Give a served supervisor with room for two models, impatient but for these times."""
    policy = replace(_POLICY, **times)
    pool = make_pool(
        ByName(), run_dir, policy=policy, max_loaded=2, max_queue=1000, max_swap_wait=2.0
    )
    tokenizers = make_pool(SpawnLauncher(), run_dir, policy=policy)
    status = Status(pool, clock=SystemClock(), footprint=memory.footprint, fetch=upstream.fetch)
    catalog = Declared({spec.id: spec for spec in models})
    app = build_app(load(None, {}), catalog, WorkerPools(pool, tokenizers), status)
    async with serving(app) as served:
        yield Storm(served.url, pool, catalog, random.Random(seed))
        await asyncio.wait_for(pool.shutdown(), 120)
