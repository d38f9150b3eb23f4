"""A worker's handle tells the lifecycle what happens to the process, and does what it decides."""

import asyncio
import signal
from pathlib import Path

import pytest
from support.launcher import MANUAL, FakeLauncher, Habits
from support.pools import PATIENT, Log, model, quick, settle, soon

from mlxd.protocol import control
from mlxd.protocol.lifecycle import StopReason, WorkerState
from mlxd.protocol.spec import WorkerSpec
from mlxd.supervisor.clock import SystemClock
from mlxd.supervisor.lifecycle import events
from mlxd.supervisor.lifecycle.lifecycle import Policy
from mlxd.supervisor.lifecycle.stale_workers import NotingLauncher
from mlxd.supervisor.lifecycle.worker import WorkerHandle

S = WorkerState
STOP = events.StopWanted(StopReason.UNLOAD)
FORCE = events.StopWanted(StopReason.UNLOAD, force=True)


class Owned:
    """Hold a worker and all that a test wants to see of it."""

    def __init__(
        self, habits: Habits | None = None, policy: Policy = PATIENT, socket: str = "/nowhere"
    ) -> None:
        self.launcher = FakeLauncher(habits)
        self.log = Log()
        self.changes = 0
        spec = model("a")
        self.handle = WorkerHandle(
            spec,
            policy=policy,
            launcher=self.launcher,
            clock=SystemClock(),
            log=self.log,
            worker_spec=lambda spec: WorkerSpec(
                model_id=spec.id, kind=spec.kind, path=str(spec.path), socket=socket
            ),
            on_change=self.count,
        )

    def count(self) -> None:
        """Count that somebody would have to decide again."""
        self.changes += 1

    @property
    def state(self) -> S:
        """Return the state."""
        return self.handle.life.state

    async def start(self) -> "Owned":
        """Start, as far as the worker's habits go."""
        self.handle.handle(events.Wanted())
        await settle()
        return self


async def test_a_worker_gets_its_spec_after_its_hello_and_not_before() -> None:
    owned = await Owned(MANUAL).start()
    child = owned.launcher.last
    assert (owned.state, child.sent) == (S.STARTING, [])
    child.hello()
    assert owned.state is S.LOADING
    assert [type(message) for message in child.sent] == [control.Start]


async def test_ready_before_hello_is_not_believed() -> None:
    owned = await Owned(MANUAL).start()
    owned.launcher.last.ready()
    assert owned.state is S.STARTING


async def test_a_worker_of_another_version_is_told_to_stop_and_the_user_what_to_do() -> None:
    """Regression: mlxd was upgraded under a running daemon, whose next worker is of the new version."""
    owned = await Owned(MANUAL).start()
    owned.launcher.last.hello(version=control.VERSION + 1)
    assert owned.state is S.STOPPING and owned.launcher.last.was_asked_to_stop
    owned.launcher.last.exit(0)
    await soon(owned.handle.settled())
    assert "restart mlxd" in (owned.handle.life.error or "")


async def test_progress_is_shown_only_while_it_loads() -> None:
    owned = await Owned(Habits(loads=False)).start()
    owned.launcher.last.progress(50)
    assert owned.handle.loading == control.LoadProgress(50, 100)
    owned.launcher.last.ready()
    assert owned.handle.loading is None
    assert owned.handle.ready is not None and owned.handle.ready.weights_bytes == 123


async def test_a_worker_that_never_reports_is_stopped_and_ends_in_back_off() -> None:
    owned = await Owned(Habits(says_hello=False), quick(hello_timeout=0.05)).start()
    await soon(owned.handle.settled())
    assert owned.state is S.BACKOFF and "did not report" in (owned.handle.life.error or "")


async def test_a_load_without_progress_is_stopped() -> None:
    owned = await Owned(Habits(loads=False), quick(load_stall=0.05)).start()
    await soon(owned.handle.settled())
    assert owned.state is S.BACKOFF and "no progress" in (owned.handle.life.error or "")


async def test_a_worker_without_a_step_is_asked_for_its_stacks_then_stopped() -> None:
    owned = await Owned(policy=quick(step_stall=0.05)).start()
    lease = owned.handle.start_lease(None)
    assert "no step" in str(await soon(lease.failure()))
    sent = [type(message) for message in owned.launcher.last.sent]
    assert sent == [control.Start, control.DumpStacks, control.Stop]
    await soon(owned.handle.settled())
    assert owned.state is S.BACKOFF


async def test_a_worker_that_ignores_stop_gets_sigterm_and_then_sigkill() -> None:
    habits = Habits(obeys_stop=False, obeys_sigterm=False)
    owned = await Owned(habits, quick(ask_grace=0.02, kill_grace=0.02)).start()
    owned.handle.handle(STOP)
    await soon(owned.handle.settled())
    assert owned.launcher.last.signals == [signal.SIGTERM, signal.SIGKILL]
    assert (owned.state, owned.handle.exit_code) == (S.STOPPED, -9)


async def test_a_worker_that_obeys_gets_no_signal() -> None:
    owned = await Owned(policy=quick(ask_grace=0.02, kill_grace=0.02)).start()
    owned.handle.handle(STOP)
    await soon(owned.handle.settled())
    assert owned.launcher.last.signals == []


async def test_no_timer_outlives_the_process() -> None:
    owned = await Owned().start()
    assert owned.handle._timer is None, "it never idles out"
    owned.handle.handle(STOP)
    assert owned.handle._timer is not None
    await soon(owned.handle.settled())
    assert owned.handle._timer is None


async def test_a_failed_lease_is_answered_though_its_task_took_the_future_along() -> None:
    """Regression: a task that awaited `failed` itself and was cancelled broke the worker's next failure."""
    owned = await Owned().start()
    first, second = owned.handle.start_lease(None), owned.handle.start_lease(None)

    async def wait() -> None:
        await first.failed

    task = asyncio.create_task(wait())
    await settle()
    task.cancel()
    await settle()
    assert first.failed.cancelled()
    owned.launcher.last.exit(-9)
    assert owned.state is S.BACKOFF and second.failed.done()


async def test_a_lease_whose_connection_broke_is_answered_even_if_the_worker_lives() -> None:
    owned = await Owned().start()
    lease = owned.handle.start_lease(None)
    error = await soon(lease.failure(within=0.02))
    assert "closed the connection" in str(error)
    assert not lease.failed.done(), "the worker may still end"


async def test_a_lease_that_was_failed_may_be_ended() -> None:
    owned = await Owned().start()
    lease = owned.handle.start_lease(None)
    owned.handle.handle(FORCE)
    lease.end(served=False)
    lease.end(served=False)
    assert owned.handle.life.leases == 0


async def test_only_a_ready_worker_can_be_leased() -> None:
    owned = Owned()
    with pytest.raises(RuntimeError):
        owned.handle.start_lease(None)


async def test_a_change_of_the_pin_is_a_change() -> None:
    """Regression: who waited for room was not asked again."""
    owned = await Owned().start()
    before = owned.changes
    owned.handle.pin(True)
    assert owned.changes == before + 1 and owned.handle.life.pinned


async def test_the_end_of_a_process_removes_its_socket_and_finishes_its_log(tmp_path: Path) -> None:
    socket = tmp_path / "1.sock"
    owned = await Owned(socket=str(socket)).start()
    socket.touch()
    owned.launcher.last.print(b"last words without an end")
    owned.launcher.last.exit(1)
    assert not socket.exists() and owned.handle.socket is None
    assert owned.log.written == b"last words without an end" and owned.log.flushes == 1


async def test_a_changed_declaration_counts_from_the_next_start_on() -> None:
    owned = await Owned().start()
    owned.handle.update(model("a", idle_timeout=7.0, pin=True))
    assert not owned.handle.life.pinned
    owned.handle.handle(STOP)
    await soon(owned.handle.settled())
    await owned.start()
    assert (owned.handle.life.pinned, owned.handle.life.idle_timeout) == (True, 7.0)


async def test_only_what_the_engine_has_not_shown_yet_is_waited_for() -> None:
    """Given a slow reader whose row is done, when others come and go without work, then no step is owed for them."""
    owned = await Owned().start()
    child = owned.launcher.last
    slow = owned.handle.start_lease(None)
    child.beat(1, 1)
    child.beat(2, 0)
    refused, running = owned.handle.start_lease(None), owned.handle.start_lease(None)
    assert owned.handle.life.expecting == 2
    owned.handle.end_lease(refused, served=True)
    owned.handle.end_lease(slow, served=True)
    assert owned.handle.life.expecting == 1
    owned.handle.end_lease(running, served=False)
    assert owned.handle.life.expecting == 0


async def test_an_end_is_noticed_though_the_run_folder_cannot_be_written(tmp_path: Path) -> None:
    """Regression: the worker's socket could not be deleted, so its model stayed in its last state for good."""
    (
        tmp_path / "run"
    ).touch()  # where a folder was; a disk that is read-only by now refuses as well
    owned = Owned(socket=str(tmp_path / "run" / "1.sock"))
    owned.handle._launcher = NotingLauncher(owned.launcher, tmp_path / "run")
    await owned.start()
    owned.handle.handle(STOP)
    await soon(owned.handle.settled())
    assert owned.state is S.STOPPED
