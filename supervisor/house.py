"""Wire the daemon's parts together, and run them until a signal."""

import asyncio
import functools
import os
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass

from mlxd.config import catalog
from mlxd.config.catalog import Catalog
from mlxd.config.paths import Paths
from mlxd.config.settings import Settings
from mlxd.protocol.journal import DaemonStarted, DaemonStopping
from mlxd.supervisor import backups, runfile
from mlxd.supervisor.access.access import Access, new_own_key
from mlxd.supervisor.access.audit import Audit
from mlxd.supervisor.access.metering import MeteringLauncher
from mlxd.supervisor.app import build_app
from mlxd.supervisor.assemble import PROMPT_CACHE, build_pools, build_standby, limits
from mlxd.supervisor.budget import memory
from mlxd.supervisor.clock import SystemClock
from mlxd.supervisor.downloads.downloads import Downloads
from mlxd.supervisor.front import listener, upstream
from mlxd.supervisor.front.server import Server
from mlxd.supervisor.lifecycle import stale_workers
from mlxd.supervisor.lifecycle.run_directory import RunDirectory
from mlxd.supervisor.lifecycle.standby import StandbyLauncher
from mlxd.supervisor.logs import journal
from mlxd.supervisor.logs.journal import Journal
from mlxd.supervisor.metrics.metrics import Metrics
from mlxd.supervisor.pressure.pressure import Pressure
from mlxd.supervisor.pressure.stall_watch import StallWatch
from mlxd.supervisor.reload import Reload
from mlxd.supervisor.responses.responses import Responses
from mlxd.supervisor.scheduling.worker_pools import WorkerPools
from mlxd.supervisor.status import Status
from mlxd.supervisor.tracing import following
from mlxd.supervisor.tracing.following import Following
from mlxd.supervisor.wakefulness import Wakefulness, is_working

_STANDBY_AFTER_S = 0.5
"""First the daemon answers, then it provides for later."""

Read = Callable[[], Settings]


@dataclass(frozen=True, slots=True)
class House:
    """Hold the parts that live as long as the daemon."""

    events: Journal
    standby: StandbyLauncher
    pools: WorkerPools
    pressure: Pressure
    known: Catalog
    responses: Responses
    downloads: Downloads
    metrics: Metrics
    wakefulness: Wakefulness | None

    async def drain(self) -> None:
        """Let everything end that runs, in order."""
        self.events.note(DaemonStopping(pid=os.getpid()))
        self.pressure.stop()
        await asyncio.gather(self.pools.shutdown(), self.standby.end(), self.downloads.close())
        if self.wakefulness:
            self.wakefulness.stop()
        self.events.close()  # whoever follows hears of the last worker, too

    def reload(self, settings: Settings, read: Read, audit: Audit) -> Reload:
        """Return what takes a changed configuration."""

        def take(fresh: Settings) -> None:
            self.pools.bound(limits(fresh))

        return Reload(settings, read, self.known.declare, take, tell=self.events.note, audit=audit)


async def serve(
    settings: Settings, read: Read, paths: Paths, public: socket.socket, version: str
) -> None:
    """Serve on a listening socket until a signal, and leave nothing behind."""
    sockets = RunDirectory(paths.run_dir)
    own = runfile.own(listener.url_of(public), version, new_own_key())
    try:
        export = following.export(settings.tracing)
        traces = Following(export) if export else None
        stale_workers.end_in_background(paths.run_dir, settings.defaults.kill_grace)
        access = Access(
            settings.server,
            state_dir=paths.state_dir,
            log_dir=paths.log_dir,
            own_key=own.api_key,
            address=public.getsockname()[0],
        )
        house = _furnished(settings, paths, sockets, access, Metrics(traces))
        app = build_app(
            settings,
            house.known,
            house.pools,
            _status(house),
            house.responses,
            house.events,
            house.downloads,
            access,
            house.metrics,
        )
        server = Server(
            app,
            public,
            drain=house.drain,
            hurry=house.pools.hurry,
            reload=house.reload(settings, read, access.audit),
            hangup_ends=sys.stdin is not None and sys.stdin.isatty(),
            client_timeout=settings.server.client_timeout,
        )
        server.heed_signals()
        runfile.write(paths.state_dir, own)
        await server.run(functools.partial(_on_listening, house, own.url, version))
        await house.responses.close()
        if traces:
            traces.close()
    finally:
        runfile.remove(paths.state_dir, os.getpid())
        sockets.remove()


def _on_listening(house: House, url: str, version: str) -> None:
    print(f"mlxd listening on {url}", flush=True)
    house.events.note(DaemonStarted(version=version, pid=os.getpid()))
    asyncio.get_running_loop().call_later(_STANDBY_AFTER_S, house.standby.open)
    house.pressure.start()
    if house.wakefulness:
        house.wakefulness.start()


def _furnished(
    settings: Settings, paths: Paths, sockets: RunDirectory, access: Access, metrics: Metrics
) -> House:
    events = Journal(paths.log_dir / journal.FILE)
    run_dir = sockets.create()
    backups.leave_out(paths.state_dir / PROMPT_CACHE)
    memory.gpu_bytes()  # a Mac asks once, and now nobody waits for the answer
    standby = build_standby(settings, run_dir)
    tell = metrics.listening(events.note)
    pools = build_pools(
        settings,
        log_dir=paths.log_dir,
        run_dir=run_dir,
        state_dir=paths.state_dir,
        launcher=MeteringLauncher(standby, metrics.charging(access.charge)),
        tell=tell,
        reserve=standby.pids,
    )
    known = catalog.build(settings, paths)
    refresh = functools.partial(known.rescan, force=True)
    downloads = Downloads(paths, known, pools, settings=settings, refresh=refresh)
    return House(
        events=events,
        standby=standby,
        pools=pools,
        pressure=Pressure(pools.models, memory.pressure, tell=tell, watch=StallWatch()),
        known=known,
        responses=Responses(
            settings, pools, paths.state_dir / "responses.db", waited=metrics.waited
        ),
        downloads=downloads,
        metrics=metrics,
        wakefulness=_wakefulness(settings, pools, downloads),
    )


def _wakefulness(
    settings: Settings, pools: WorkerPools, downloads: Downloads
) -> Wakefulness | None:
    if not settings.server.keep_awake or sys.platform != "darwin":
        return None

    def is_busy() -> bool:
        return downloads.is_busy or is_working(worker.life for worker in pools.models.workers())

    return Wakefulness(is_busy)


def _status(house: House) -> Status:
    return Status(
        house.pools.models,
        clock=SystemClock(),
        footprint=memory.footprint,
        fetch=upstream.fetch,
        standby=house.standby.pids,
    )
