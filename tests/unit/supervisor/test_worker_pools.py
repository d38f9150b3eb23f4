"""A count of tokens needs no model: it loads none, pushes none out, and is seen nowhere."""

import asyncio
from pathlib import Path

import msgspec
import pytest
from support.front import settings
from support.launcher import MANUAL, FakeLauncher
from support.pools import make_pool, model, settle

from mlxd.protocol import control
from mlxd.protocol.lifecycle import WorkerState
from mlxd.protocol.units import NEVER
from mlxd.supervisor.assemble import build_tokenizers
from mlxd.supervisor.scheduling.worker_pools import WorkerPools

S = WorkerState


class Pools:
    """Both pools over fake processes."""

    def __init__(self, folder: Path, models: FakeLauncher | None = None) -> None:
        self.models = models or FakeLauncher()
        self.tokenizers = FakeLauncher()
        own = build_tokenizers(settings(), log_dir=folder, run_dir=folder, launcher=self.tokenizers)
        self.pools = WorkerPools(make_pool(self.models, max_loaded=1), own)

    async def count(self, model_id: str) -> int:
        """Lease a counter and return its pid."""
        async with self.pools.lease_counter(model(model_id)) as lease:
            return lease.pid


async def test_a_cold_model_is_counted_for_by_a_worker_without_weights(tmp_path: Path) -> None:
    world = Pools(tmp_path)
    await world.count("a")
    assert not world.models.children
    (child,) = world.tokenizers.children
    (start,) = [message for message in child.sent if isinstance(message, control.Start)]
    assert start.spec.tokenizer_only
    assert world.pools.state("a") is S.STOPPED
    assert world.pools.models.workers() == []
    assert await world.count("a") == child.pid, "the next one finds it there"


async def test_a_ready_model_counts_itself(tmp_path: Path) -> None:
    world = Pools(tmp_path)
    async with world.pools.lease(model("a")) as lease:
        assert await world.count("a") == lease.pid
    assert not world.tokenizers.children


async def test_counting_for_others_pushes_no_model_out(tmp_path: Path) -> None:
    world = Pools(tmp_path)
    async with world.pools.lease(model("a")):
        pass
    for name in "bcde":
        await world.count(name)
    await settle()
    assert world.pools.state("a") is S.READY
    assert len(world.models.children) == 1
    assert len(world.tokenizers.alive) <= 2, "tokenizers push out each other"


async def test_a_model_that_loads_is_counted_for_meanwhile(tmp_path: Path) -> None:
    world = Pools(tmp_path, FakeLauncher(MANUAL))
    loading = asyncio.create_task(world.pools.load(model("a")))
    await settle()
    assert world.pools.state("a") is S.STARTING
    assert await world.count("a") == world.tokenizers.last.pid
    world.models.last.hello()
    world.models.last.ready()
    await loading
    assert await world.count("a") == world.models.last.pid


async def test_unloading_a_model_ends_its_tokenizer_too(tmp_path: Path) -> None:
    world = Pools(tmp_path)
    await world.count("a")
    async with world.pools.lease(model("a")):
        pass
    unloaded = await world.pools.unload(model("a"))
    assert unloaded.was_loaded and unloaded.model == "a"
    assert not world.models.alive and not world.tokenizers.alive


async def test_a_tokenizer_is_never_pinned_and_goes_after_a_minute(tmp_path: Path) -> None:
    world = Pools(tmp_path)
    async with world.pools.lease_counter(model("a", pin=True, idle_timeout=float("inf"))):
        (worker,) = world.pools.tokenizers.workers()
        assert (worker.life.pinned, worker.life.idle_timeout) == (False, 60.0)


async def test_shutting_down_ends_both_kinds(tmp_path: Path) -> None:
    world = Pools(tmp_path)
    await world.count("b")
    async with world.pools.lease(model("a")):
        pass
    await world.pools.shutdown()
    assert not world.models.alive and not world.tokenizers.alive


async def test_hurrying_stops_both_kinds(tmp_path: Path) -> None:
    world = Pools(tmp_path)
    counts, answers = world.pools.lease_counter(model("b")), world.pools.lease(model("a"))
    async with counts as counting, answers as answering:
        world.pools.hurry()
        assert counting.failed.done() and answering.failed.done()
    await settle()


@pytest.mark.parametrize(("longest", "told"), [(60.0, 60.0), (NEVER, 6 * 3600.0)])
async def test_a_worker_hears_what_films_may_take(
    tmp_path: Path, longest: float, told: float
) -> None:
    launcher, chosen = FakeLauncher(), settings()
    media = msgspec.structs.replace(chosen.media, max_film=longest, max_frames=6)
    chosen = msgspec.structs.replace(chosen, media=media)
    pool = build_tokenizers(chosen, log_dir=tmp_path, run_dir=tmp_path, launcher=launcher)
    async with pool.lease(model("a")):
        (child,) = launcher.children
    (start,) = [message for message in child.sent if isinstance(message, control.Start)]
    assert (start.spec.longest_film, start.spec.most_frames) == (told, 6)
