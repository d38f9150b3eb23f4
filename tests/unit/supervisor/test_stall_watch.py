"""The kernel's word that memory is short comes at once, where it gives it; elsewhere somebody looks."""

import asyncio
import os
import select
import socket
import sys
from pathlib import Path

import pytest
from support.launcher import FakeLauncher
from support.pools import make_pool, model, settle, soon

from mlxd.protocol.lifecycle import WorkerState
from mlxd.supervisor.pressure.pressure import Pressure
from mlxd.supervisor.pressure.relief import Level
from mlxd.supervisor.pressure.stall_watch import FILE, StallWatch

linux = pytest.mark.skipif(not hasattr(select, "epoll"), reason="only Linux has such triggers")


async def test_where_no_trigger_is_granted_somebody_looks(tmp_path: Path) -> None:
    looked = asyncio.Event()

    def read() -> Level:
        looked.set()
        return Level.NORMAL

    pool = make_pool(FakeLauncher())
    async with pool.lease(model("a")):
        watch = StallWatch(tmp_path / "absent")
        pressure = Pressure(pool, read, interval=0.01, watch=watch)
        pressure.start()
        await soon(looked.wait())
        pressure.stop()


@linux
async def test_an_urgent_event_calls_once_with_its_level() -> None:
    """A connection's urgent byte is such an event, too, and any machine can make one."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        near = socket.create_connection(server.getsockname())
        far, _ = server.accept()
    seen: asyncio.Queue[int] = asyncio.Queue()
    watch = StallWatch()
    with near, far:
        watch._watch(os.dup(far.fileno()), lambda: seen.put_nowait(far.recv(1, socket.MSG_OOB)[0]))
        await settle()
        assert seen.empty()
        near.send(b"\x07", socket.MSG_OOB)
        assert await soon(seen.get()) == 7
        await settle()
        assert seen.empty()
        watch.close()


@linux
@pytest.mark.skipif(sys.platform != "linux" or not os.access(FILE, os.W_OK), reason="not granted")
async def test_the_kernel_of_this_machine_grants_the_triggers_and_takes_them_back() -> None:
    before = len(os.listdir("/proc/self/fd"))
    watch = StallWatch()
    granted = watch.open(lambda level: None)
    assert len(os.listdir("/proc/self/fd")) == before + 4 * granted
    watch.close()
    assert len(os.listdir("/proc/self/fd")) == before


async def test_what_the_kernel_says_again_soon_is_worse() -> None:
    pool = make_pool(FakeLauncher())
    async with pool.lease(model("a")):
        worker = pool.workers()[0]
    pressure = Pressure(pool, lambda: Level.NORMAL)
    pressure._on_stall(Level.WARNING)
    assert pool.state("a") is WorkerState.READY
    pressure._on_stall(Level.WARNING)
    await soon(worker.settled())
