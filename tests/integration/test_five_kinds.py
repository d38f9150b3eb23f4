"""Models of every kind loaded side by side answer at once as each does alone; no worker leaves, no memory is lost."""

import json
import statistics
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import httpx
import openai
import psutil
import pytest
from support.daemon import Daemon, Home
from support.deadline import until
from support.kind_asks import MODELS, Clients, ask
from support.tiny_models import folder

ASKERS = ("writes", "writes", "sees", "compares", "compares", "ranks", "speaks", "hears", "draws")
"""Who asks whom at the same time, again and again: rows of texts and of vectors share batches."""
_ROUGHLY = 1.15
_MORE = 48 << 20
"""How much all processes together may take more at the end: a share of it, and bytes."""


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """Give a daemon with a model of every kind, all of them loaded."""
    with ExitStack() as stack:
        home = Home(tmp_path_factory.mktemp("kinds") / "home")
        stack.callback(home.remove)
        models = [{"id": name, "source": str(folder(kind))} for name, kind in MODELS.items()]
        home.configure({"models": models, "hub": False, "demo": False})
        daemon = Daemon(home)
        stack.callback(daemon.end)
        for name in MODELS:
            daemon.post("/v1/models/load", {"model": name}, timeout=100)
        yield daemon


@pytest.fixture
def clients(daemon: Daemon) -> Iterator[Clients]:
    """Give the official client, and one for what that lacks."""
    with (
        openai.OpenAI(
            base_url=f"{daemon.url}/v1", api_key="none", max_retries=0, timeout=100
        ) as sdk,
        httpx.Client(base_url=daemon.url, timeout=100) as http,
    ):
        yield Clients(sdk, http)


def pids(daemon: Daemon) -> dict[str, int]:
    """Return the workers that are ready."""
    return {model["id"]: model["pid"] for model in daemon.ps() if model["state"] == "ready"}


def resident(processes: list[psutil.Process]) -> int:
    """Return the bytes all of them have in memory."""
    return sum(process.memory_info().rss for process in processes)


def happened(daemon: Daemon) -> list[dict[str, Any]]:
    """Return the whole event log."""
    said = daemon.ctl("events", "--json", "-n", "1000")
    assert said.returncode == 0, said.stderr
    return [json.loads(line) for line in said.stdout.splitlines()]


def load(daemon: Daemon, clients: Clients, seconds: float) -> None:
    """Have everybody ask for so long; every answer is the one that was given alone."""
    alone = {(kind, n): ask(clients, kind, n) for kind in MODELS for n in range(3)}
    for kind in MODELS:
        assert len({alone[kind, n] for n in range(3)} - {""}) == 3, kind
    before, rounds, over = pids(daemon), [0] * len(ASKERS), threading.Event()
    assert before.keys() == MODELS.keys()

    def keep_asking(place: int) -> None:
        kind = ASKERS[place]
        try:
            while not over.is_set():
                number = rounds[place] + place
                assert ask(clients, kind, number) == alone[kind, number % 3], kind
                rounds[place] += 1
        finally:
            over.set()  # one that fails has all others stop

    processes = [psutil.Process(pid) for pid in (daemon.pid, *before.values())]
    end, taken = time.monotonic() + seconds, []
    with ThreadPoolExecutor(len(ASKERS)) as pool:
        asking = [pool.submit(keep_asking, place) for place in range(len(ASKERS))]
        while not over.wait(0.5):
            taken.append(resident(processes))
            if time.monotonic() > end and min(rounds) >= 3:
                over.set()
        for asked in asking:
            asked.result()
    quarter = len(taken) // 4
    early = statistics.median(taken[quarter : 2 * quarter])
    late = statistics.median(taken[-quarter:])
    assert late < early * _ROUGHLY + _MORE, (early, late)
    assert pids(daemon) == before


def check_journal(daemon: Daemon) -> None:
    """See that workers came and none left, and that the daemon had nothing else to tell."""
    moves = [one for one in happened(daemon) if one["event"] != "daemon_started"]
    assert {one["event"] for one in moves} == {"worker_moved"}
    found = [(one["model"], one["state"]) for one in moves]
    states = ("starting", "loading", "ready")
    assert sorted(found) == sorted((model, state) for model in MODELS for state in states)
    waiting = [model for model in daemon.ps() if model["active_requests"]]
    assert waiting == []


@pytest.mark.timeout(300)
def test_seven_kinds_answer_at_once_as_each_does_alone(daemon: Daemon, clients: Clients) -> None:
    load(daemon, clients, 8)
    until(
        lambda: not any(m["active_requests"] for m in daemon.ps()),
        within=60,
        what="all is answered",
    )
    check_journal(daemon)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_they_do_so_for_two_minutes_in_the_memory_of_the_first(
    daemon: Daemon, clients: Clients
) -> None:
    load(daemon, clients, 120)
    until(
        lambda: not any(m["active_requests"] for m in daemon.ps()),
        within=60,
        what="all is answered",
    )
    check_journal(daemon)
