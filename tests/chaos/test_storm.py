"""Whatever happens to workers, every request ends in an answer or an error of ours, and nothing is left behind."""

import asyncio
import gc
import os
from collections import Counter
from collections.abc import Callable

import psutil
import pytest
from support.children import open_files, run_directory, scripted
from support.deadline import eventually
from support.pools import model
from support.storm import storm
from support.tiny_models import folder

from mlxd.protocol.lifecycle import ALIVE

SHORT_S, LONG_S = 20.0, 300.0
Tally = Callable[[str, Counter[str]], None]
CLIENTS = 12


@pytest.mark.timeout(400)
async def test_a_short_storm_loses_no_request(tally: Tally) -> None:
    await weather(SHORT_S, 1, tally)


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_a_storm_of_five_minutes_loses_no_request(tally: Tally) -> None:
    await weather(LONG_S, 2, tally)


async def weather(seconds: float, seed: int, tally: Tally) -> None:
    """Let it rage for so long, then look for survivors and leftovers."""
    before = open_files()
    with run_directory() as place:
        models = [
            model("qwen3", folder("qwen3")),
            model("llama", folder("llama")),
            scripted(place, "scripted-slow", load_steps=4, load_step_s=0.3, token_s=0.01),
            scripted(place, "scripted-dies", dies_at=3, token_s=0.01),
            scripted(place, "scripted-hangs", hangs_at=4, token_s=0.01),
            scripted(place, "scripted-fails", load="exits", load_exit=66),
        ]
        async with storm(models, place, seed) as raging:
            actors = [asyncio.create_task(raging.client()) for _ in range(CLIENTS)]
            actors.append(asyncio.create_task(raging.killer()))
            await raging.pause(seconds)
            # Where a start takes as long as the storm, nobody has been answered yet.
            await eventually(lambda: raging.outcomes["answered"], within=120, what="an answer")
            raging.over.set()
            await asyncio.wait_for(asyncio.gather(*actors), 150)
            workers = raging.pool.workers()
        tally("requests", raging.outcomes)
        tally("deeds", raging.deeds)
        assert raging.outcomes["answered"] > 0
        assert not [outcome for outcome in raging.outcomes if outcome.startswith("DEFECT")]
        assert all(not worker.life.leases for worker in workers)
        assert all(worker.life.state not in ALIVE for worker in workers)
        assert not list(place.glob("*.sock"))
    mine = psutil.Process(os.getpid()).children()
    assert not [child for child in mine if child.status() == psutil.STATUS_ZOMBIE]
    gc.collect()
    assert open_files() <= before + 3  # multiprocessing's own tracker and its pipe
