"""A real daemon whose configuration changes under load, and whose workers are killed and frozen, answers everybody."""

import asyncio
import os
import random
import signal
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import httpx
import psutil
import pytest
from support.daemon import Daemon, is_gone
from support.deadline import eventually, until
from support.storm import outcome
from support.tiny_models import folder

SHORT_S, LONG_S = 20.0, 300.0
CLIENTS = 8
KINDS = ("qwen3", "llama", "gemma3")
BROKEN = "models: ["


def config(chance: random.Random) -> dict[str, Any]:
    """Return a configuration that differs from the last one in what a reload takes."""
    models = [
        {
            "id": kind,
            "source": str(folder(kind)),
            "aliases": [f"{kind}-alias"] if chance.random() < 0.5 else [],
            "max_batch": chance.randint(1, 16),
            "idle_timeout": chance.choice((1, 60)),
        }
        for kind in KINDS
    ]
    times = {"step_stall": 5, "load_stall": 20, "backoff": 0.3, "backoff_max": 2, "kill_grace": 3,
             "max_swap_wait": 2, "quarantine_after": 0}  # fmt: skip
    room = {"max_loaded": chance.choice((1, 2, 3))}
    return {"models": models, "memory": room, "defaults": times, "demo": False, "hub": False}


@dataclass
class Weather:
    """Rage against one daemon and count what became of it."""

    daemon: Daemon
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
        async with httpx.AsyncClient(base_url=self.daemon.url, timeout=120) as client:
            while await self.pause(self.chance.uniform(0, 0.2)):
                body = {
                    "model": self.chance.choice(KINDS),
                    "messages": [{"role": "user", "content": "Hello"}],
                    "max_tokens": self.chance.randint(1, 60),
                    "stream": True,
                    "ignore_eos": True,
                }
                patience = self.chance.choice((None, None, None, 1, 3))
                self.outcomes[await outcome(client, body, patience)] += 1

    async def reloader(self) -> None:
        """Change the configuration, now and then for the worse."""
        while await self.pause(self.chance.uniform(0.1, 1.0)):
            broken = self.chance.random() < 0.2
            self.daemon.place.configure(BROKEN if broken else config(self.chance))
            self.daemon.process.send_signal(signal.SIGHUP)
            self.deeds["broken reload" if broken else "reload"] += 1

    async def killer(self) -> None:
        """Kill or freeze a worker."""
        while await self.pause(self.chance.uniform(0.5, 2.0)):
            pids = [one["pid"] for one in await asyncio.to_thread(self.daemon.ps) if one["pid"]]
            deed = self.chance.choice(("kill", "freeze", "nothing"))
            if pids and deed != "nothing":
                with suppress(ProcessLookupError):
                    number = signal.SIGKILL if deed == "kill" else signal.SIGSTOP
                    os.kill(self.chance.choice(pids), number)
            self.deeds[deed] += 1


@pytest.mark.parametrize(
    "seconds",
    [
        pytest.param(SHORT_S, marks=pytest.mark.timeout(500)),
        pytest.param(LONG_S, marks=(pytest.mark.slow, pytest.mark.timeout(900))),
    ],
)
async def test_reloads_and_deaths_under_load_lose_no_request(
    seconds: float, running_daemon: Any, tally: Callable[[str, Counter[str]], None]
) -> None:
    chance = random.Random(3)
    daemon: Daemon = await asyncio.to_thread(running_daemon, config(chance))
    weather = Weather(daemon, chance)
    actors = [asyncio.create_task(weather.client()) for _ in range(CLIENTS)]
    actors += [asyncio.create_task(weather.reloader()), asyncio.create_task(weather.killer())]
    await weather.pause(seconds)
    # Where a start takes as long as the storm, nobody has been answered yet.
    await eventually(lambda: weather.outcomes["answered"], within=120, what="an answer")
    weather.over.set()
    await asyncio.wait_for(asyncio.gather(*actors), 150)
    tally("requests", weather.outcomes)
    tally("deeds", weather.deeds)
    assert weather.outcomes["answered"] > 0 and weather.deeds["reload"] > 0
    assert not [name for name in weather.outcomes if name.startswith("DEFECT")], weather.outcomes
    await asyncio.to_thread(check_rest, daemon)


def is_zombie(process: psutil.Process) -> bool:
    """Tell whether nobody has taken the exit status of a process that ended."""
    try:
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def check_rest(daemon: Daemon) -> None:
    """See that nobody holds or waits for anything, and that the end leaves no process."""
    until(
        lambda: not any(one["active_requests"] or one["queued_requests"] for one in daemon.ps()),
        within=60,
        what="every lease came back",
    )
    children = psutil.Process(daemon.pid).children(recursive=True)
    # One that nobody asked for a while may leave just now, and has a moment until it is reaped.
    until(lambda: not any(map(is_zombie, children)), within=60, what="all that ended are reaped")
    assert daemon.end() == 0
    until(lambda: all(is_gone(child.pid) for child in children), within=60, what="all have left")
    assert "Traceback" not in daemon.log
