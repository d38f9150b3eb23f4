"""For an hour a real daemon is asked everything, reconfigured, given keys and swapped: it grows by nothing.

`scripts/test --soak [MINUTES]` runs it; no other run does.
"""

import asyncio
import json
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from conftest import RunDaemon
from support import soak_figures, soak_load
from support.daemon import Daemon, is_gone
from support.deadline import until
from support.soak_figures import MB, Sample
from support.soak_load import PASSING, STEADY, VECTORS
from support.tiny_models import folder

from mlxd.config import demo
from mlxd.supervisor.logs.rotating_file import FILE_BYTES

MINUTES = float(os.environ.get("SOAK_MINUTES", "0"))
CLIENTS = 4
SAMPLE_S = 30.0
WARM_UP_S = 20.0
GROWTH_MB, GROWTH_SHARE = 16, 0.10
"""What the supervisor may gain over half the time: allocators keep what they once had."""
WORKER_GROWTH_MB, WORKER_GROWTH_SHARE = 64, 0.15
MORE_FILES = 4
"""Than at rest before: a log that is just being written, a journal of the database."""
MORE_THREADS = 8

pytestmark = [
    pytest.mark.soak,
    pytest.mark.skipif(not MINUTES, reason="scripts/test --soak runs it"),
    pytest.mark.timeout(MINUTES * 60 + 900),
]


def config(chance: random.Random) -> dict[str, Any]:
    """Return a configuration that differs from the last one in what a reload takes."""
    steady = Path(demo.__file__).parent / "demo_model"
    cache = {"memory": "16MB", "disk": "64MB"}
    models = [
        {"id": STEADY, "source": str(steady), "pin": True, "prompt_cache": cache},
        {"id": PASSING, "source": str(folder("llama")), "idle_timeout": chance.choice((2, 5, 30)),
         "aliases": [f"p{chance.randint(0, 3)}"], "prompt_cache": cache},
        {"id": VECTORS, "source": str(folder("bert")), "idle_timeout": chance.choice((2, 30))},
    ]  # fmt: skip
    return {
        "models": models,
        "memory": {"max_loaded": 2},
        "responses": {"max_stored": 100},
        "demo": False,
        "hub": False,
    }


@dataclass
class Soak:
    """Hold the daemon, what became of every request, and what was measured."""

    daemon: Daemon
    chance: random.Random
    key: str
    over: asyncio.Event = field(default_factory=asyncio.Event)
    outcomes: Counter[str] = field(default_factory=Counter)
    deeds: Counter[str] = field(default_factory=Counter)
    unexplained: list[str] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)

    def http(self, key: str | None = None) -> httpx.AsyncClient:
        """Return a client with a key."""
        return httpx.AsyncClient(
            base_url=self.daemon.url, timeout=180, headers={"x-api-key": key or self.key}
        )

    async def pause(self, seconds: float) -> bool:
        """Wait so long or until it is over; tell whether it goes on."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self.over.wait(), seconds)
        return not self.over.is_set()

    def expect(self, name: str, found: str, *wanted: str) -> None:
        """Count an outcome, and keep what nobody can explain."""
        self.outcomes[f"{name}: {found}"] += 1
        if found not in wanted:
            self.unexplained.append(f"{name}: {found}")

    async def client(self) -> None:
        """Ask one thing after the other."""
        async with self.http() as client:
            while await self.pause(self.chance.uniform(0.1, 1.2)):
                name, wish = self.chance.choice(list(soak_load.wishes(self.chance).items()))
                found = await soak_load.outcome(client, wish, self.chance)
                self.expect(name, found, wish.expects, *(["left"] if wish.leaves else []))

    async def visitor(self) -> None:
        """Make a key, use it, rotate it with and without a grace, take it back."""
        number = 0
        async with self.http() as admin:
            while await self.pause(self.chance.uniform(2, 6)):
                number += 1
                name = f"visitor-{number}"
                old = (await admin.post("/v1/keys", json={"name": name})).json()["key"]
                grace = {"grace": "10m"} if self.chance.random() < 0.5 else {}
                rotated = await admin.post(f"/v1/keys/{name}/rotate", json=grace)
                self.expect("fresh key", await self.looks(rotated.json()["key"]), "ok")
                wanted = "ok" if grace else "invalid_api_key"
                self.expect("rotated key", await self.looks(old), wanted)
                await admin.delete(f"/v1/keys/{name}")
                self.expect("revoked key", await self.looks(old), "invalid_api_key")
                self.deeds["keys"] += 1

    async def looks(self, key: str) -> str:
        """Return what comes of a look at the models with a key."""
        async with self.http(key) as client:
            response = await client.get("/v1/models")
        return "ok" if response.is_success else soak_load.code_of(
            response.status_code, response.content
        )  # fmt: skip

    async def operator(self) -> None:
        """Look at everything that can be looked at."""
        paths = ("/v1/ps", "/v1/models", "/v1/queue/stats", "/v1/batch/stats", "/v1/ready", "/admin",
                 "/v1/events?last=20&follow=false", "/v1/keys", "/api/tags", "/metrics")  # fmt: skip
        async with self.http() as client:
            while await self.pause(self.chance.uniform(0.5, 2)):
                response = await client.get(self.chance.choice(paths))
                self.expect("look", "ok" if response.is_success else response.text[:200], "ok")

    async def reloader(self) -> None:
        """Change the configuration, now and then for the worse, and fill the logs until they rotate."""
        while await self.pause(self.chance.uniform(5, 15)):
            is_broken = self.chance.random() < 0.2
            self.daemon.place.configure("models: [" if is_broken else config(self.chance))
            self.daemon.process.send_signal(signal.SIGHUP)
            self.deeds["broken reload" if is_broken else "reload"] += 1
            if self.chance.random() < 0.3:
                await asyncio.to_thread(fill_logs, self.daemon)
                self.deeds["logs filled"] += 1

    async def watcher(self) -> None:
        """Measure."""
        print(f"\n{soak_figures.HEADER}", flush=True)
        while True:
            await self.measure()
            if not await self.pause(SAMPLE_S):
                return

    async def measure(self) -> None:
        """Take one sample and look through the logs."""
        async with self.http() as client:
            models = (await client.get("/v1/ps")).json()["models"]
        workers = {m["pid"]: m["memory_bytes"] for m in models if m["state"] == "ready"}
        sample = soak_figures.take(self.daemon.pid, self.began, workers)
        self.samples.append(sample)
        print(sample.line(), flush=True)
        self.unexplained += await asyncio.to_thread(lambda: list(tracebacks(self.daemon)))

    async def rest(self) -> int:
        """Wait until nobody asks anything, and return how many files the supervisor has open then."""
        async with self.http() as client:
            await client.post("/v1/models/unload", json={"model": PASSING})
            await client.post("/v1/models/unload", json={"model": VECTORS})
        await self.pause(3.0) if not self.over.is_set() else None
        return psutil.Process(self.daemon.pid).num_fds()


def fill_logs(daemon: Daemon) -> None:
    """Make the logs so large that the next line of each begins a new file."""
    for path in daemon.place.log_dir.glob("*.log"):
        with path.open("ab") as file:
            missing = FILE_BYTES - path.stat().st_size - 1
            file.write(b"filled by the test\n" * max(0, missing // 19))


def tracebacks(daemon: Daemon) -> Iterator[str]:
    """Yield the end of each log that holds a traceback."""
    for path in daemon.place.log_dir.iterdir():
        try:
            text = path.read_text(errors="replace")
        except FileNotFoundError:  # it was put aside just now, and is read under its next name
            continue
        if (at := text.find("Traceback")) >= 0:
            yield f"{path.name}: {text[at : at + 1500]}"


async def test_an_hour_of_everything_leaves_no_trace(running_daemon: RunDaemon) -> None:
    soak = await asyncio.to_thread(started, running_daemon)
    pid, warm = soak.daemon.pid, asyncio.create_task(soak.client())
    await soak.pause(WARM_UP_S)
    soak.over.set()
    await warm
    before, threads = await soak.rest(), psutil.Process(pid).num_threads()
    soak.over.clear()

    actors = [soak.client() for _ in range(CLIENTS)]
    actors += [soak.visitor(), soak.operator(), soak.reloader(), soak.watcher()]
    tasks = [asyncio.create_task(actor) for actor in actors]
    await asyncio.wait(tasks, timeout=MINUTES * 60, return_when=asyncio.FIRST_EXCEPTION)
    soak.over.set()
    await asyncio.wait_for(asyncio.gather(*tasks), 300)
    await soak.measure()
    report(soak, before)
    await check(soak, before, threads)
    await asyncio.to_thread(check_end, soak.daemon)


def started(running_daemon: RunDaemon) -> Soak:
    """Start a daemon that has a key, with a worker in reserve."""
    chance = random.Random(11)
    env = {"MLXD_DEFAULTS_STANDBY_WORKERS": "1"}
    daemon = running_daemon(config(chance), env=env)
    made = daemon.ctl("keys", "add", "soak", "--right", "admin", "--json")
    return Soak(daemon, chance, json.loads(made.stdout)["key"])


def report(soak: Soak, before: int) -> None:
    """Print what was counted and measured."""
    for title, counts in (("outcomes", soak.outcomes), ("deeds", soak.deeds)):
        print(title, ", ".join(f"{name} {n}" for name, n in sorted(counts.items())), sep=": ")
    workers = {
        pid: f"{grown / MB:+.1f} MB"
        for pid, grown in soak_figures.worker_growth(soak.samples).items()
    }
    print(
        f"second half: supervisor {soak_figures.growth(soak.samples) / MB:+.2f} MB, workers {workers}"
    )
    for line in dict.fromkeys(soak.unexplained):
        print("unexplained:", line)
    print(f"files at rest before: {before}, requests: {soak.outcomes.total()}", flush=True)


async def check(soak: Soak, before: int, threads: int) -> None:
    """Hold what was found to what is promised."""
    assert soak.unexplained == []
    assert soak.outcomes["chat: ok"] and soak.deeds["reload"] and soak.deeds["keys"]
    median = sorted(s.resident for s in soak.samples)[len(soak.samples) // 2]
    assert soak_figures.growth(soak.samples) <= max(GROWTH_MB * MB, GROWTH_SHARE * median)
    last = soak.samples[-1]
    for pid, grown in soak_figures.worker_growth(soak.samples).items():
        allowed = max(WORKER_GROWTH_MB * MB, WORKER_GROWTH_SHARE * last.workers[pid])
        assert grown <= allowed, (pid, grown)
    await soak.rest()
    process = psutil.Process(soak.daemon.pid)
    await asyncio.to_thread(
        until, lambda: process.num_fds() <= before + MORE_FILES, within=60, what="files are closed"
    )
    assert process.num_threads() <= threads + MORE_THREADS


def check_end(daemon: Daemon) -> None:
    """See that nothing is left of it."""
    children = psutil.Process(daemon.pid).children(recursive=True)
    assert daemon.end() == 0
    until(lambda: all(is_gone(child.pid) for child in children), within=60, what="all have left")
    assert list(tracebacks(daemon)) == []
