"""What `/metrics` shows of a real daemon is what a scripted load did, exactly."""

import asyncio
import os
import signal
import time
from collections.abc import Mapping
from typing import Any

import httpx
import psutil
import pytest
from conftest import RunDaemon
from prometheus_client.parser import text_string_to_metric_families
from support.daemon import Daemon
from support.daemon_calls import CHAT, ENDLESS, Events, chat, model
from support.deadline import eventually

OWN = "the-settings-own-key"
Series = dict[tuple[str, ...], float]


class Load:
    """Ask a daemon on behalf of its keys, and read what it counted."""

    def __init__(self, daemon: Daemon) -> None:
        self.daemon = daemon
        self.client = httpx.AsyncClient(base_url=daemon.url, timeout=120)
        self.scraper = httpx.Client(base_url=daemon.url, timeout=60)
        self.keys = {"server.api_key": OWN}
        self.prompt = self.generated = 0

    def headers(self, key: str) -> dict[str, str]:
        """Return what shows the key of this name, or a wrong one."""
        return {"x-api-key": self.keys.get(key, "wrong")}

    async def close(self) -> None:
        """Let go of the connections."""
        self.scraper.close()
        await self.client.aclose()

    async def make_key(self, name: str, **limits: Any) -> None:
        """Make a key."""
        body = {"name": name, **limits}
        made = await self.client.post("/v1/keys", json=body, headers=self.headers("server.api_key"))
        self.keys[name] = made.json()["key"]

    async def ask(self, key: str, name: str, **fields: Any) -> int:
        """Return the status of a chat; add up the tokens of one that went well."""
        body = chat(name, **fields)
        answer = await self.client.post(CHAT, json=body, headers=self.headers(key))
        if answer.status_code == 200:
            usage = answer.json()["usage"]
            self.prompt += usage["prompt_tokens"]
            self.generated += usage["completion_tokens"]
        return answer.status_code

    async def leave(self, key: str, name: str) -> None:
        """Leave a stream after its first tokens."""
        body = chat(name, stream=True, **ENDLESS)
        async with self.client.stream("POST", CHAT, json=body, headers=self.headers(key)) as answer:
            await Events(answer).take(4)

    async def lose(self, key: str, name: str) -> None:
        """Kill the worker of a stream after its first tokens."""
        body = chat(name, stream=True, **ENDLESS)
        async with self.client.stream("POST", CHAT, json=body, headers=self.headers(key)) as answer:
            events = Events(answer)
            await events.take(4)
            os.kill(await self.pid(name), signal.SIGKILL)
            with pytest.raises(httpx.RemoteProtocolError):
                async for _ in events:
                    pass

    async def pid(self, name: str) -> int:
        """Return the process of a loaded model."""
        ps = await self.client.get("/v1/ps", headers=self.headers("server.api_key"))
        return int(next(m["pid"] for m in ps.json()["models"] if m["id"] == name))

    def scrape(self, key: str = "grafana") -> dict[str, list[tuple[dict[str, str], float]]]:
        """Return every sample by its name."""
        answer = self.scraper.get("/metrics", headers=self.headers(key))
        assert answer.status_code == 200, answer.text
        found: dict[str, list[tuple[dict[str, str], float]]] = {}
        for family in text_string_to_metric_families(answer.text):
            for sample in family.samples:
                found.setdefault(sample.name, []).append((dict(sample.labels), sample.value))
        return found

    def series(self, name: str, *labels: str) -> Series:
        """Return the values of one metric by some of its labels, those of operators' own requests left out."""
        samples = self.scrape().get(f"mlxd_{name}", [])
        found: Series = {}
        for shown, value in samples:
            if shown.get("route") not in ("operations", "keys"):
                place = tuple(shown.get(label, "") for label in labels)
                found[place] = found.get(place, 0.0) + value
        return found

    async def comes_to(self, name: str, labels: tuple[str, ...], expected: Series) -> None:
        """Wait until a metric is what it must be: workers' words and ends take their own way."""
        seen: list[Series] = []

        def probe() -> bool:
            seen[:] = [self.series(name, *labels)]
            return seen == [expected]

        try:
            await eventually(probe, within=60, what=f"mlxd_{name}")
        except AssertionError:
            assert seen == [expected]
            raise


REQUESTS: Series = {
    ("chat", "200", "ok", "one", "laptop"): 3,
    ("chat", "200", "ok", "two", "laptop"): 1,
    ("chat", "200", "ok", "two", "busy"): 1,
    ("chat", "200", "client_gone", "one", "laptop"): 2,
    ("chat", "200", "worker_died", "two", "laptop"): 1,
    ("chat", "400", "invalid_request", "one", "laptop"): 2,
    ("chat", "401", "invalid_api_key", "", ""): 3,
    ("chat", "403", "permission_denied", "", "grafana"): 1,
    ("chat", "404", "model_not_found", "", "laptop"): 2,
    ("chat", "429", "rate_limited", "", "busy"): 2,
}
WHO = ("model", "key")
COUNTERS: Mapping[tuple[str, tuple[str, ...]], Series] = {
    ("requests_total", ("route", "status", "code", *WHO)): REQUESTS,
    ("requests_refused_total", ("code", *WHO)): {("rate_limited", "", "busy"): 2},
    ("requests_cancelled_total", WHO): {("one", "laptop"): 2},
    ("request_duration_seconds_count", ("route", *WHO)): {
        ("chat", "one", "laptop"): 7,
        ("chat", "two", "laptop"): 2,
        ("chat", "two", "busy"): 1,
        ("chat", "", ""): 3,
        ("chat", "", "grafana"): 1,
        ("chat", "", "laptop"): 2,
        ("chat", "", "busy"): 2,
    },
    ("queue_wait_seconds_count", WHO): {
        ("one", "laptop"): 7,
        ("two", "laptop"): 2,
        ("two", "busy"): 1,
    },
    ("first_token_seconds_count", WHO): {
        ("one", "laptop"): 5,
        ("two", "laptop"): 1,
        ("two", "busy"): 1,
    },
    ("worker_starts_total", ("model",)): {("one",): 1, ("two",): 1},
    ("worker_exits_total", ("model", "cause")): {("one", "evicted"): 1, ("two", "sigkill"): 1},
    ("evictions_total", ("model", "cause")): {("one", "room"): 1},
    ("swaps_total", ()): {(): 1},
    ("cold_start_seconds_count", ("model", "phase")): {
        (name, phase): 1 for name in ("one", "two") for phase in ("process", "load", "total")
    },
}


async def test_every_counter_is_what_a_scripted_load_did(running_daemon: RunDaemon) -> None:
    """Given room for one model, when requests go well, badly and away, then each is counted once, at its place."""
    models = [model("one"), model("two")]
    load = Load(
        running_daemon(
            {
                "models": models,
                "memory": {"max_loaded": 1},
                "server": {"api_key": OWN},
                "hub": False,
            }
        )
    )
    await load.make_key("laptop")
    await load.make_key("busy", requests_per_minute=1)
    await load.make_key("grafana", rights=["watch"])
    assert [await load.ask("laptop", "one") for _ in range(3)] == [200] * 3
    await asyncio.gather(load.leave("laptop", "one"), load.leave("laptop", "one"))
    wrong: list[dict[str, Any]] = [{"temperature": "warm"}, {"messages": []}]
    assert [await load.ask("laptop", "one", **fields) for fields in wrong] == [400] * 2
    assert [await load.ask("laptop", name) for name in ("nobody", "x" * 99)] == [404] * 2
    assert [await load.ask(name, "one") for name in ("?", "??", "???")] == [401] * 3
    assert await load.ask("grafana", "one") == 403
    assert [await load.ask("busy", "two") for _ in range(3)] == [200, 429, 429]
    assert await load.ask("laptop", "two") == 200
    await load.lose("laptop", "two")
    for (name, labels), expected in COUNTERS.items():
        await load.comes_to(name, labels, expected)
    _tokens_are_those_of_the_answers(load)
    await _gauges_show_what_is(load)
    await load.close()


def _tokens_are_those_of_the_answers(load: Load) -> None:
    found = {
        name: sum(load.series(f"{name}_total").values())
        for name in ("prompt_tokens", "generated_tokens", "cancelled_tokens")
    }
    each = load.prompt / 5
    assert found["prompt_tokens"] == load.prompt + 2 * each  # one worker died with its count
    assert found["cancelled_tokens"] >= 2 * 3
    assert found["generated_tokens"] == load.generated + found["cancelled_tokens"]
    hits = load.series("prompt_cache_hits_total", *WHO)
    assert hits[("one", "laptop")] >= 2
    gaps = sum(load.series("inter_token_seconds_count").values())
    assert gaps == found["generated_tokens"] - 7


def _shown(load: Load) -> Any:
    stats = load.scraper.get("/v1/batch/stats", headers=load.headers("grafana"))
    return stats.json()["models"]


async def _gauges_show_what_is(load: Load) -> None:
    assert await load.ask("laptop", "one") == 200
    batch = (await eventually(lambda: _shown(load), what="a worker that is not held up"))[0]
    assert sum(batch["first_token_seconds"]["counts"]) == 1
    assert sum(batch["inter_token_seconds"]["counts"]) == batch["generated_tokens"] - 1
    found = load.scrape()
    (memory,) = found["mlxd_worker_memory_bytes"]
    footprint = psutil.Process(await load.pid("one")).memory_info().rss
    assert memory[0] == {"model": "one"} and 0 < memory[1] <= footprint * 1.2
    states = {labels["state"]: value for labels, value in found["mlxd_workers"]}
    assert states["ready"] == 1 and set(states.values()) <= {0, 1}
    assert found["mlxd_memory_budget_bytes"][0][1] > 0
    assert states["backoff"] == 1
    queued = {labels["model"]: value for labels, value in found["mlxd_requests_queued"]}
    assert queued == {"one": 0, "two": 0}
    assert found["mlxd_build_info"][0][1] == 1


async def test_a_frozen_worker_does_not_delay_a_scrape(running_daemon: RunDaemon) -> None:
    load = Load(
        running_daemon({"models": [model("one")], "server": {"api_key": OWN}, "hub": False})
    )
    await load.ask("server.api_key", "one")
    pid = await load.pid("one")
    os.kill(pid, signal.SIGSTOP)
    try:
        times = []
        for _ in range(10):
            began = time.monotonic()
            found = load.scrape("server.api_key")
            times.append(time.monotonic() - began)
        # Whoever waits for the worker gives up after a second, so each of them would take as long.
        assert min(times) < 0.8
        assert found["mlxd_worker_memory_bytes"][0][1] > 0
    finally:
        os.kill(pid, signal.SIGCONT)
    await load.close()
