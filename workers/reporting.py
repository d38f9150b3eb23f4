"""Talk to the supervisor over the control socket: report what happens, and listen for what is wanted."""

import faulthandler
import logging
import os
import select
import signal
import socket
import threading
import time
from collections.abc import Callable
from queue import SimpleQueue

import msgspec

from mlxd.protocol import control
from mlxd.protocol.errors import ShuttingDown
from mlxd.protocol.exit_codes import ExitCode

log = logging.getLogger(__name__)

LONGEST_LINE = 4 << 20
EOF_GRACE = 4.0
"""Seconds a worker without a supervisor may take to leave; nobody is left to end it from outside."""
STOP_GRACE = 30.0
"""The same after a request to stop; below the supervisor's own patience, so that it need not kill."""


class Reporter:
    """Send control messages; never waits for a supervisor that does not read.

    A socket of macOS takes 8 KiB at a time, of Linux 200: what it does not take at once is sent by a thread that lives
    as long as there is something left.
    """

    def __init__(self, channel: socket.socket) -> None:
        # For sends, XNU's sosendcheck looks at this alone and not at MSG_DONTWAIT: they waited on macOS.
        channel.setblocking(False)
        self._channel = channel
        self._lock = threading.Lock()
        self._unsent = b""
        self._courier: threading.Thread | None = None
        self._interval = 1.0
        self._beat_at = 0.0
        self._had_rows = False

    def set_interval(self, seconds: float) -> None:
        """Say how often a working engine is reported."""
        self._interval = seconds

    def send(self, message: control.FromWorker) -> None:
        """Send a message, as soon as the supervisor takes it if that is behind."""
        with self._lock:
            self._unsent += control.encode(message)
            if self._courier is not None:
                return
            self._flush()
            if self._unsent:
                self._courier = threading.Thread(target=self._carry, name="reports", daemon=True)
                self._courier.start()

    def finish(self, seconds: float) -> None:
        """Wait, but for no longer, until the supervisor has taken all that was said."""
        with self._lock:
            courier = self._courier
        if courier is not None:
            courier.join(seconds)

    def _carry(self) -> None:
        while True:
            select.select([], [self._channel], [])
            with self._lock:
                self._flush()
                if not self._unsent:
                    self._courier = None
                    return

    def _flush(self) -> None:
        while self._unsent:
            try:
                sent = self._channel.send(self._unsent)
            except BlockingIOError:
                return
            except OSError:
                self._unsent = b""  # the supervisor is gone; the listener sees that too
                return
            self._unsent = self._unsent[sent:]

    def progress(self, bytes_read: int, bytes_total: int) -> None:
        """Report how much of the weights is in memory."""
        self.send(control.LoadProgress(bytes_read, bytes_total))

    def beat(self, steps: int, rows: int) -> None:
        """Report the step counter from the engine thread: now and then while it works, once when it has finished."""
        now = time.monotonic()
        # Also where no beat fell into that work: the supervisor waits for a sign of each request it gave.
        finished = rows == 0 and self._had_rows
        self._had_rows = rows > 0
        if not finished and (rows == 0 or now - self._beat_at < self._interval):
            return
        self._beat_at = now
        if finished or not self._unsent:
            self.send(control.Heartbeat(steps, rows))


class Listener:
    """Read the control socket and the signals on a thread of their own, so that no long step delays them."""

    def __init__(
        self,
        channel: socket.socket,
        on_leave: Callable[[ExitCode, str], None],
        on_memory: Callable[[control.Limits | control.Shrink], None] = lambda message: None,
    ) -> None:
        self._channel = channel
        self._on_leave = on_leave
        self._on_memory = on_memory
        self._starts: SimpleQueue[control.Start | None] = SimpleQueue()
        self._left = False
        self._buffer = b""
        self._wake, self._signals = socket.socketpair()

    def start(self) -> None:
        """Take over the signals and begin to listen; called on the main thread."""
        self._wake.setblocking(False)
        signal.signal(
            signal.SIGINT, signal.SIG_IGN
        )  # a terminal's Ctrl-C is the supervisor's to handle
        signal.signal(
            signal.SIGTERM, lambda *_: None
        )  # the thread reads it from the descriptor below
        signal.set_wakeup_fd(self._wake.fileno(), warn_on_full_buffer=False)
        threading.Thread(target=self._listen, name="control", daemon=True).start()

    def wait_for_start(self, seconds: float | None = None) -> control.Start | None:
        """Return the model to load, or None where the worker is to leave or the time is over."""
        try:
            return self._starts.get(timeout=seconds)
        except Exception:
            return None

    def _listen(self) -> None:
        while True:
            ready, _, _ = select.select([self._channel, self._signals], [], [])
            if self._signals in ready:
                numbers = self._signals.recv(64)
                if signal.SIGTERM in numbers:
                    self._leave(ExitCode.OK, "SIGTERM", STOP_GRACE)
            if self._channel in ready and not self._read():
                self._leave(ExitCode.PARENT_GONE, "the supervisor is gone", EOF_GRACE)
                return

    def _read(self) -> bool:
        """Handle what came; tell whether the channel is still open."""
        try:
            chunk = self._channel.recv(1 << 16)
        except BlockingIOError:
            return True
        except OSError:
            chunk = b""
        *lines, self._buffer = (self._buffer + chunk).split(b"\n")
        for line in lines:
            self._handle(line)
        return bool(chunk)

    def _handle(self, line: bytes) -> None:
        try:
            message = control.decode_to_worker(line)
        except msgspec.DecodeError as error:
            self._leave(ExitCode.BAD_SPEC, f"control message not understood: {error}", STOP_GRACE)
            return
        match message:
            case control.Start():
                self._starts.put(message)
            case control.Stop(reason):
                self._leave(ExitCode.OK, reason, STOP_GRACE)
            case control.Limits() | control.Shrink():
                self._on_memory(message)
            case control.DumpStacks():
                faulthandler.dump_traceback(all_threads=True)

    def _leave(self, code: ExitCode, reason: str, grace: float) -> None:
        timer = threading.Timer(grace, _leave_hard, (code,))
        timer.daemon = True
        timer.start()
        if self._left:
            return
        self._left = True
        log.info("leaving reason=%r code=%s", reason, code.name)
        self._on_leave(code, reason)
        self._starts.put(None)


def _leave_hard(code: ExitCode) -> None:
    log.error("the engine thread did not come back, leaving without freeing code=%s", code.name)
    os._exit(code)


def stopping(reason: str) -> ShuttingDown:
    """Return what rows that still run are answered with."""
    return ShuttingDown(f"the model is being unloaded ({reason})", retry_after=1.0)
