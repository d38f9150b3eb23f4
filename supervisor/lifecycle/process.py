"""Start a worker process, talk to it, and notice its end.

All callbacks come on the event loop's thread. The process is reaped before `on_exit` is called.
"""

import asyncio
import logging
import multiprocessing
import os
import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Protocol

import msgspec

from mlxd.protocol import control
from mlxd.protocol.control import FromWorker, ToWorker
from mlxd.supervisor.lifecycle import trampoline

WORKER_ENTRY = "mlxd.workers.main:run"
_REAP_RETRY_S = 0.005
_READ_BYTES = 1 << 16
_LAST_READS = 256
"""More than socket and pipe hold; a grandchild that still writes must not keep us reading."""

logger = logging.getLogger("mlxd.process")


class Child(Protocol):
    """Stand for one started process."""

    @property
    def pid(self) -> int:
        """Return the process id, which is also its group's."""
        ...

    def send(self, message: ToWorker) -> None:
        """Send a control message; one that cannot be delivered is dropped, the process's end tells why."""
        ...

    def signal(self, number: signal.Signals) -> None:
        """Signal the whole process group; does nothing once the process is gone."""
        ...


@dataclass(frozen=True, slots=True)
class Callbacks:
    """Say whom to tell what the process does; each is called on the event loop's thread."""

    on_message: Callable[[FromWorker], None]
    on_log: Callable[[bytes], None]
    on_exit: Callable[[int], None]
    """Gets the exit code, negative for a signal; called once, after the reap."""


class Launcher(Protocol):
    """Start worker processes."""

    def start(self, name: str, callbacks: Callbacks) -> Child:
        """Start one. Raises OSError where the system has no more processes or descriptors."""
        ...


class SpawnLauncher:
    """Start workers from a `multiprocessing` spawn context: never a fork, MLX would hang in it."""

    def __init__(self, entry: str = WORKER_ENTRY) -> None:
        self._entry = entry
        self._context = multiprocessing.get_context("spawn")

    def start(self, name: str, callbacks: Callbacks) -> Child:
        """Start a process named after its model."""
        ours, theirs = socket.socketpair()
        try:
            log_read, log_write = self._context.Pipe(duplex=False)
        except OSError:
            ours.close()
            theirs.close()
            raise
        try:
            process = self._context.Process(
                target=trampoline.enter,
                args=(self._entry, theirs, log_write),
                name=name,
                daemon=True,
            )
            process.start()
        except BaseException:
            ours.close()
            log_read.close()
            raise
        finally:
            theirs.close()
            log_write.close()
        return SpawnedChild(process, ours, log_read, callbacks)


class SpawnedChild:
    """Own the parent's ends of one child: control socket, log pipe, sentinel."""

    def __init__(
        self,
        process: multiprocessing.context.SpawnProcess,
        channel: socket.socket,
        log: "Connection[bytes, bytes]",
        callbacks: Callbacks,
    ) -> None:
        assert process.pid is not None
        self.pid = process.pid
        self._process = process
        self._channel = channel
        self._log = log
        self._callbacks = callbacks
        self._partial = b""
        self._unsent = b""
        self._gone = False
        self._loop = asyncio.get_running_loop()
        channel.setblocking(False)
        os.set_blocking(log.fileno(), False)
        self._loop.add_reader(channel.fileno(), self._read_control)
        self._loop.add_reader(log.fileno(), self._read_log)
        self._loop.add_reader(process.sentinel, self._reap)

    def send(self, message: ToWorker) -> None:
        """Send a control message; what the socket does not take at once follows as the worker reads."""
        if self._gone:
            return
        self._unsent += control.encode(message)
        self._write()

    def _write(self) -> None:
        """Send what there is: macOS takes 8 KiB at a time, and a chat template alone may have more."""
        channel = self._channel.fileno()
        try:
            self._unsent = self._unsent[self._channel.send(self._unsent) :]
        except BlockingIOError:
            pass
        except OSError as error:
            logger.warning("control message lost pid=%d error=%r", self.pid, str(error))
            self._unsent = b""
        if self._unsent:
            self._loop.add_writer(channel, self._write)
        else:
            self._loop.remove_writer(channel)

    def signal(self, number: signal.Signals) -> None:
        """Signal the group, or the process alone while it has not made its group yet."""
        if self._gone:
            return
        try:
            os.killpg(self.pid, number)
        except (ProcessLookupError, PermissionError):
            try:
                os.kill(self.pid, number)
            except ProcessLookupError:
                pass  # it ended this instant; the sentinel tells

    def _read_control(self) -> bool:
        """Hand on the messages that came; return whether more may follow at once."""
        try:
            chunk = self._channel.recv(_READ_BYTES)
        except BlockingIOError:
            return False
        except OSError:
            chunk = b""
        if not chunk:
            self._loop.remove_reader(self._channel.fileno())
            return False
        *lines, self._partial = (self._partial + chunk).split(b"\n")
        for line in lines:
            try:
                message = control.decode_from_worker(line)
            except msgspec.DecodeError as error:
                logger.error("bad control message pid=%d error=%r", self.pid, str(error))
                continue
            self._callbacks.on_message(message)
        return True

    def _read_log(self) -> bool:
        """Hand on the log bytes that came; return whether more may follow at once."""
        try:
            chunk = os.read(self._log.fileno(), _READ_BYTES)
        except BlockingIOError:
            return False
        if not chunk:
            self._loop.remove_reader(self._log.fileno())
            return False
        self._callbacks.on_log(chunk)
        return True

    def _reap(self) -> None:
        """Take the exit status; the sentinel can be ahead of it by an instant."""
        self._loop.remove_reader(self._process.sentinel)
        if self._process.exitcode is None:
            self._loop.call_later(_REAP_RETRY_S, self._reap)
            return
        exit_code = self._process.exitcode
        self._gone = True
        try:
            self._read_last()
        finally:  # whatever a callback raised: an end that nobody hears of leaves the model stuck for good
            self._close()
            self._callbacks.on_exit(exit_code)

    def _read_last(self) -> None:
        """Read what the process left behind."""
        for _ in range(_LAST_READS):
            if not self._read_control() and not self._read_log():
                return

    def _close(self) -> None:
        self._loop.remove_writer(self._channel.fileno())
        for source in (self._channel, self._log):
            self._loop.remove_reader(source.fileno())
            source.close()
        self._process.close()
