"""A launcher starts processes, and its children tell all that happens to them, to the end and once.

The fake one of the other tests runs through the same contract as the real one.
"""

import asyncio
import os
import signal
from collections.abc import Callable, Iterator

import msgspec
import pytest
from support.child import VARIABLE, Script
from support.children import has_ended, is_gone, open_files, run_directory, spawning
from support.deadline import eventually
from support.launcher import FakeLauncher
from support.pools import soon

from mlxd.protocol import control
from mlxd.protocol.kinds import ModelKind
from mlxd.protocol.spec import WorkerSpec
from mlxd.supervisor.lifecycle.process import Callbacks, Child, Launcher, SpawnLauncher


class Witness:
    """Note what a child tells, in order."""

    def __init__(self) -> None:
        self.messages: asyncio.Queue[control.FromWorker] = asyncio.Queue()
        self.log = b""
        self.ends: list[int] = []
        self.ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.callbacks = Callbacks(self.messages.put_nowait, self.on_log, self.on_exit)

    def on_log(self, chunk: bytes) -> None:
        """Take log bytes."""
        self.log += chunk

    def on_exit(self, code: int) -> None:
        """Take the exit code; a second one would raise."""
        self.ends.append(code)
        self.ended.set_result(code)


@pytest.fixture
def spawn() -> Iterator[SpawnLauncher]:
    """Give a launcher of real processes."""
    with spawning() as launcher:
        yield launcher


@pytest.fixture(params=["fake", "real"])
def launcher(request: pytest.FixtureRequest) -> Iterator[Launcher]:
    """Give each launcher in turn."""
    if request.param == "fake":
        yield FakeLauncher()
        return
    with spawning() as real:
        yield real


@pytest.fixture
def spec() -> Iterator[WorkerSpec]:
    """Give something to start with."""
    with run_directory() as folder:
        yield WorkerSpec(
            model_id="a", kind=ModelKind.TEXT, path="/nowhere", socket=str(folder / "1.sock")
        )


async def started(launcher: Launcher) -> tuple[Child, Witness]:
    """Start a child and take its hello."""
    witness = Witness()
    child = launcher.start("a", witness.callbacks)
    hello = await soon(witness.messages.get())
    assert isinstance(hello, control.Hello) and hello.pid == child.pid
    return child, witness


# The contract


async def test_a_child_reports_loads_and_leaves_when_asked(
    launcher: Launcher, spec: WorkerSpec
) -> None:
    child, witness = await started(launcher)
    child.send(control.Start(spec))
    while not isinstance(await soon(witness.messages.get()), control.Ready):
        pass
    child.send(control.Stop("unload"))
    assert await soon(witness.ended) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
async def test_a_signal_ends_a_child(launcher: Launcher, number: signal.Signals) -> None:
    child, witness = await started(launcher)
    child.signal(number)
    assert await soon(witness.ended) in (0, -number)


async def test_whatever_is_done_to_a_child_that_ended_is_done_to_nobody(launcher: Launcher) -> None:
    child, witness = await started(launcher)
    child.signal(signal.SIGKILL)
    await soon(witness.ended)
    child.send(control.Stop("unload"))
    child.signal(signal.SIGKILL)
    assert witness.ends == [-signal.SIGKILL]


# The real one alone


async def test_the_exit_is_told_after_the_reap_and_nothing_is_left_open(
    spawn: SpawnLauncher,
) -> None:
    await _warm_up(spawn)
    before = open_files()
    child, witness = await started(spawn)
    assert open_files() > before
    child.signal(signal.SIGKILL)
    await soon(witness.ended)
    assert is_gone(child.pid)
    assert open_files() == before


async def test_a_message_longer_than_the_socket_takes_arrives_whole(
    spawn: SpawnLauncher, spec: WorkerSpec
) -> None:
    """Regression: the rest was dropped, so that a model with a long template or system prompt never loaded.

    On macOS such a socket takes 8 KiB, on Linux 200.
    """
    child, witness = await started(spawn)
    child.send(control.Start(msgspec.structs.replace(spec, system_prompt="x" * 1_000_000)))
    assert isinstance(await soon(witness.messages.get()), control.LoadProgress)
    child.send(control.Stop("unload"))
    assert await soon(witness.ended) == 0


async def test_a_message_that_a_child_never_reads_is_dropped_with_it(
    spawn: SpawnLauncher, spec: WorkerSpec
) -> None:
    await _warm_up(spawn)
    before = open_files()
    child, witness = await started(spawn)
    child.signal(signal.SIGSTOP)
    child.send(control.Start(msgspec.structs.replace(spec, system_prompt="x" * 1_000_000)))
    child.signal(signal.SIGKILL)
    await soon(witness.ended)
    assert open_files() == before


async def test_a_child_leads_a_group_of_its_own(spawn: SpawnLauncher) -> None:
    child, witness = await started(spawn)
    assert os.getpgid(child.pid) == child.pid != os.getpgid(0)
    child.signal(signal.SIGKILL)
    await soon(witness.ended)


async def test_the_last_words_of_a_child_come_before_its_exit(
    spawn: SpawnLauncher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given an entry point that raises, when it ends, then the traceback is in the log by the time of the exit."""
    witness = Witness()
    SpawnLauncher("support.child:no_such_function").start("a", witness.callbacks)
    assert await soon(witness.ended) == 1
    assert b"AttributeError" in witness.log and b"no_such_function" in witness.log


async def test_words_that_nobody_understands_are_passed_over(
    spawn: SpawnLauncher, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(VARIABLE, Script(hello="garbage").to_json())
    witness = Witness()
    child = spawn.start("a", witness.callbacks)
    child_said = asyncio.ensure_future(witness.messages.get())
    await eventually(lambda: caplog.text.count("bad control message") == 4, within=30)
    child.signal(signal.SIGKILL)
    await soon(witness.ended)
    assert not child_said.done()
    child_said.cancel()


@pytest.mark.parametrize("broken", ["on_message", "on_log"])
async def test_an_end_is_told_even_if_another_callback_raises(
    spawn: SpawnLauncher, broken: str
) -> None:
    """Regression: a log that could not be written kept the last reads from finishing, and the model was stuck."""
    await _warm_up(spawn)
    before = open_files()
    raised: list[object] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda loop, context: raised.append(context["exception"]))

    def fail(_: object) -> None:
        raise OSError(28, "No space left on device")

    witness = Witness()
    parts: dict[str, Callable[..., None]] = {
        "on_message": witness.messages.put_nowait,
        "on_log": witness.on_log,
        "on_exit": witness.on_exit,
    }
    launcher = SpawnLauncher("support.child:no_such_function") if broken == "on_log" else spawn
    child = launcher.start("a", Callbacks(**parts | {broken: fail}))
    if broken == "on_message":
        await eventually(lambda: raised, within=30)
        child.signal(signal.SIGKILL)
    await soon(witness.ended)
    assert raised and is_gone(child.pid) and open_files() == before


async def test_a_start_without_descriptors_leaves_none_behind(
    spawn: SpawnLauncher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Regression: where no pipe could be made, the socket pair was left to the garbage collector."""
    await _warm_up(spawn)
    before = open_files()

    def no_pipe(duplex: bool) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(spawn._context, "Pipe", no_pipe)
    with pytest.raises(OSError, match="Too many open files"):
        spawn.start("a", Witness().callbacks)
    assert open_files() == before


async def test_a_grandchild_that_holds_the_log_open_does_not_hold_up_the_end(
    spawn: SpawnLauncher,
) -> None:
    """Given a child whose own child goes on printing, when it ends, then its end is told all the same."""
    witness = Witness()
    child = SpawnLauncher("support.child:leave_a_flooding_child").start("a", witness.callbacks)
    assert await soon(witness.ended) == 7
    assert is_gone(child.pid)
    grandchild = int(witness.log.split(b"\n")[0])
    await eventually(lambda: has_ended(grandchild), within=30, what="its log is closed")


async def _warm_up(spawn: SpawnLauncher) -> None:
    """Start what `multiprocessing` starts with its first child and keeps."""
    child, witness = await started(spawn)
    child.signal(signal.SIGKILL)
    await soon(witness.ended)
