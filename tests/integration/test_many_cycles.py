"""What fifty swaps and two thousand clients leave behind: nothing."""

import asyncio
import os
import signal
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from support.daemon import Daemon
from support.deadline import until
from support.tiny_models import folder

from mlxd.supervisor.budget import memory

CYCLES = 50
SLACK = 5 << 20
"""What the supervisor may take for itself over all cycles."""
CLIENTS = 2000
BODY: dict[str, Any] = {
    "messages": [{"role": "user", "content": "Hello"}],
    "max_tokens": 4,
    "temperature": 0,
}


def ask(daemon: Daemon, model: str) -> str:
    """Return the text of one answer."""
    answer = daemon.post("/v1/chat/completions", BODY | {"model": model})
    return str(answer["choices"][0]["message"]["content"])


def resident(pid: int) -> int:
    """Return the bytes a process holds."""
    return int(psutil.Process(pid).memory_info().rss)


def ours(pid: int) -> int:
    """Return the bytes that the daemon and all its processes cost the machine."""
    tree = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    return sum(memory.footprint(process.pid) for process in tree)


def host_is_back(start: int, others_start: int, pid: int) -> bool:
    """Tell whether the machine has its memory again, but for what processes that are not ours took meanwhile."""
    machine = psutil.virtual_memory()
    missing = start - machine.available
    return missing - max(0, others(pid) - others_start) <= machine.total // 100


def others(pid: int) -> int:
    """Return what all processes hold that are not the daemon's."""
    own = {pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))}
    held = 0
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            held += 0 if process.pid in own else process.memory_info().rss
    return held


def open_files(pid: int) -> int:
    """Return how many descriptors a process holds."""
    return psutil.Process(pid).num_fds()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a2_fifty_swaps_over_three_models_leave_no_memory_descriptor_or_socket(
    running_daemon: Any,
) -> None:
    models = [{"id": kind, "source": str(folder(kind))} for kind in ("qwen3", "llama", "gemma3")]
    config = {"models": models, "defaults": {"standby_workers": 0}, "demo": False, "hub": False}
    daemon = running_daemon(config)
    texts: dict[str, str] = {}

    def cycle(number: int) -> None:
        model = models[number % len(models)]["id"]
        assert texts.setdefault(model, ask(daemon, model)) == ask(daemon, model)
        unloaded = daemon.post("/v1/models/unload", {"model": model})
        assert unloaded["pid_reaped"] and unloaded["freed_bytes"] > 0
        assert not psutil.pid_exists(unloaded["pid"])

    for number in range(2 * len(models)):
        cycle(number)
    before, tree = resident(daemon.pid), ours(daemon.pid)
    files = open_files(daemon.pid)
    for number in range(CYCLES):
        free, others_before = psutil.virtual_memory().available, others(daemon.pid)
        cycle(number)
        until(lambda: ours(daemon.pid) < tree + SLACK, within=30, what="our processes are as small")
        until(
            lambda free=free, held=others_before: host_is_back(free, held, daemon.pid),  # type: ignore[misc]
            within=60,
            what="the host has its memory back",
        )

    assert resident(daemon.pid) - before < 5 << 20
    until(lambda: open_files(daemon.pid) <= files, within=60, what="descriptors are back")
    assert not psutil.Process(daemon.pid).children()[1:], "only multiprocessing's tracker may live"
    assert not list(Path(daemon.place.environment()["MLXD_RUN_DIR"]).rglob("*.sock"))
    assert daemon.ps() == []


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_two_thousand_clients_at_once_are_all_answered(running_daemon: Any) -> None:
    config = {
        "models": [{"id": "tiny", "source": str(folder("qwen3")), "max_batch": 64}],
        "defaults": {"max_queue": 2 * CLIENTS, "standby_workers": 0},
    }
    daemon = await asyncio.to_thread(running_daemon, config)
    await asyncio.to_thread(ask, daemon, "tiny")
    before = resident(daemon.pid)
    limits = httpx.Limits(max_connections=None)
    outcomes: Counter[int] = Counter()

    async def one(client: httpx.AsyncClient) -> None:
        answer = await client.post("/v1/chat/completions", json=BODY | {"model": "tiny"})
        outcomes[answer.status_code] += 1

    async with httpx.AsyncClient(base_url=daemon.url, limits=limits, timeout=600) as client:
        await asyncio.gather(*(one(client) for _ in range(CLIENTS)))

    assert outcomes == {200: CLIENTS}
    assert resident(daemon.pid) - before < CLIENTS * (64 << 10)
    until(lambda: daemon.ps()[0]["active_requests"] == 0, within=60, what="no lease is left")


@pytest.mark.slow
async def test_clients_beyond_the_queue_are_told_so_and_the_others_are_served(
    running_daemon: Any,
) -> None:
    config = {
        "models": [{"id": "tiny", "source": str(folder("qwen3")), "max_batch": 4}],
        "defaults": {"max_queue": 16, "standby_workers": 0},
    }
    daemon = await asyncio.to_thread(running_daemon, config)
    loaded = await asyncio.to_thread(daemon.post, "/v1/models/load", {"model": "tiny"})
    limits = httpx.Limits(max_connections=None)
    os.kill(loaded["pid"], signal.SIGSTOP)  # or they might be served as fast as they come
    async with httpx.AsyncClient(base_url=daemon.url, limits=limits, timeout=300) as client:
        asking = [
            asyncio.create_task(client.post("/v1/chat/completions", json=BODY | {"model": "tiny"}))
            for _ in range(200)
        ]
        await asyncio.wait(asking, return_when=asyncio.FIRST_COMPLETED)
        os.kill(loaded["pid"], signal.SIGCONT)
        answers = await asyncio.gather(*asking)
    outcomes = Counter(answer.status_code for answer in answers)
    assert set(outcomes) == {200, 429}
    assert outcomes[200] >= 20
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert refused.json()["error"]["code"] == "queue_full"
    assert int(refused.headers["retry-after"]) > 0
