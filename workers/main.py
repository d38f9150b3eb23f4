"""Be a worker: load the model the supervisor names, answer for it, give all of it back on the way out."""

import faulthandler
import importlib
import logging
import os
import socket
import sys
import threading
import time
import traceback
from typing import TYPE_CHECKING, NoReturn

from mlxd.protocol.control import Failed, Hello, Limits, Ready, Shrink
from mlxd.protocol.errors import MlxdError, WorkerDied
from mlxd.protocol.exit_codes import ExitCode
from mlxd.protocol.spec import WorkerSpec
from mlxd.workers import hidden, open_files
from mlxd.workers.engine import inbox
from mlxd.workers.engine.inbox import Inbox, Leave
from mlxd.workers.reporting import Listener, Reporter, stopping

if TYPE_CHECKING:
    from mlxd.workers.http_thread import HttpThread
    from mlxd.workers.kinds.registry import Served

log = logging.getLogger(__name__)

ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "TRANSFORMERS_VERBOSITY": "error",
    "TOKENIZERS_PARALLELISM": "false",
}
STANDBY_AFTER = 0.05
"""Seconds without a model after which the worker is one kept in reserve, and imports what most models need."""
_TEXT_STACK = (
    "mlxd.workers.http_thread",
    "mlxd.workers.kinds.text",
    # What those import only when they are used.
    "mlx_lm.models.activations",
    "mlx_lm.models.rope_utils",
    "uvicorn.lifespan.on",
    "uvicorn.protocols.http.httptools_impl",
)
SWITCH_SECONDS = 0.0002
"""How long the HTTP thread may hold the interpreter while the engine thread waits for it (default 0.005)."""
LAST_WORDS = 1.0
"""Seconds the HTTP thread gets to write the errors of rows that were cut off, and the supervisor to hear the reason."""


def run(control: socket.socket) -> NoReturn:
    """Be the worker at the other end of `control` until told to leave, and leave the process with a named code."""
    _prepare()
    worker = Worker(control)
    try:
        code = worker.work()
    except Exception as error:
        code = worker.fail(error)
    worker.say_last()
    logging.shutdown()
    os._exit(code)  # interpreter teardown with MLX threads alive can abort


def _prepare() -> None:
    faulthandler.enable()  # Metal's own checks end the process where they fail, and say nothing of who called
    os.environ.update(ENVIRONMENT)
    hidden.hide()
    open_files.keep()
    sys.setswitchinterval(SWITCH_SECONDS)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("uvicorn").setLevel(logging.WARNING)


class Worker:
    """Hold the process's threads together; its methods run on the main thread unless they say otherwise."""

    def __init__(self, control: socket.socket) -> None:
        self._reporter = Reporter(control)
        self._listener = Listener(control, self._on_leave, self._on_memory)
        self._inbox = Inbox()
        self._leaving = threading.Event()
        self._left = Leave(ExitCode.OK, stopping("stop"))
        self._told: Leave | None = None
        self._served: Served | None = None
        self._http: HttpThread | None = None

    def _on_leave(self, code: ExitCode, reason: str) -> None:
        """Fail what runs and wake the engine thread, ahead of anything else; runs on the control thread."""
        # Who leaves by itself is asked to as well; its requests are to hear why.
        self._left = Leave(code, self._told.error if self._told else stopping(reason))
        self._leaving.set()
        if code is ExitCode.BAD_SPEC:
            self._reporter.send(Failed(code, reason))
        self._inbox.put(self._left)
        if self._served is not None:
            self._served.close(self._left.error)

    def _on_memory(self, message: Limits | Shrink) -> None:
        """Have the engine thread see to it between two steps; runs on the control thread."""
        if isinstance(message, Limits):
            self._inbox.put(inbox.Limit(message.memory_limit, message.cache_limit))
        else:
            self._inbox.put(inbox.Shrink())

    def work(self) -> ExitCode:
        """Live the worker's whole life; return the code to leave with."""
        self._listener.start()
        self._reporter.send(Hello(os.getpid()))
        start = self._listener.wait_for_start(STANDBY_AFTER)
        if start is None and not self._leaving.is_set():
            _import_text()
            start = self._listener.wait_for_start()
        if start is None:
            return self._left.code
        self._load(start.spec)
        return self._answer()

    def _load(self, spec: WorkerSpec) -> None:
        from mlxd.workers import limits
        from mlxd.workers.http_thread import HttpThread
        from mlxd.workers.kinds import registry

        begun = time.perf_counter()
        self._reporter.set_interval(spec.heartbeat_interval)
        around = registry.Surroundings(
            inbox=self._inbox,
            granted=limits.grant(spec),
            progress=self._reporter.progress,
            beat=self._reporter.beat,
            leaving=self._leaving,
            gone=self._tell_end,
        )
        served = registry.find(spec.kind, tokenizer_only=spec.tokenizer_only)(spec, around)
        served.app.state.report = self._reporter.send
        http = HttpThread(served.app, spec.socket)
        http.start()
        self._served, self._http = served, http
        seconds = time.perf_counter() - begun
        # Not every kind has a cache that grows.
        growth = getattr(served, "kv_bytes_per_token", 0)
        self._reporter.send(Ready(served.weights_bytes, served.context_length, seconds, growth))

    def _answer(self) -> ExitCode:
        assert self._served is not None
        leave = self._served.run()
        if leave.code not in (ExitCode.OK, ExitCode.PARENT_GONE):
            self._tell_end(leave)
        self._free(leave)
        return leave.code

    def _tell_end(self, leave: Leave) -> None:
        """Tell the supervisor, once, why the worker leaves by itself; the engine does so as soon as it knows."""
        if self._told is None:
            self._told = leave
            self._reporter.send(Failed(leave.code, leave.error.message))
            log.error("leaving code=%s message=%s", leave.code.name, leave.error.message)

    def fail(self, error: Exception) -> ExitCode:
        """Report an error that ended the worker, free what it holds, and return the code to leave with."""
        leave = self._left
        if not self._leaving.is_set():
            message = (
                error.message
                if isinstance(error, MlxdError)
                else f"{type(error).__name__}: {error}"
            )
            code = code_of(error, loaded=self._served is not None)
            leave = Leave(code, WorkerDied(message))
            log.error("worker failed code=%s", code.name, exc_info=error)
            self._reporter.send(Failed(code, message))
        traceback.clear_frames(error.__traceback__)  # they hold the model
        self._free(leave)
        return leave.code

    def _free(self, leave: Leave) -> None:
        """Give the memory back first; then let the answers that were cut off be written."""
        from mlxd.workers import limits

        if self._served is not None:
            self._served.close(leave.error)
            self._served.free()
        limits.release(leave.code)
        if self._http is not None:
            self._http.stop(LAST_WORDS)

    def say_last(self) -> None:
        """Wait a moment for the supervisor to take what it has yet to hear."""
        self._reporter.finish(LAST_WORDS)


def code_of(error: Exception, *, loaded: bool) -> ExitCode:
    """Return the code to leave with after an error while the model loads, or after it has."""
    from mlxd.workers import limits
    from mlxd.workers.kinds.registry import MissingExtra, UnservedKind

    if isinstance(error, MissingExtra):
        return ExitCode.MISSING_EXTRA
    if isinstance(error, UnservedKind):
        return ExitCode.BAD_SPEC
    if limits.is_device_error(error):
        return ExitCode.POISONED
    if limits.is_out_of_memory(error):
        return ExitCode.OUT_OF_MEMORY
    return ExitCode.POISONED if loaded else ExitCode.LOAD_FAILED


def _import_text() -> None:
    """Import what a text model needs, so that a worker in reserve takes one in a fraction of a second."""
    for module in _TEXT_STACK:
        importlib.import_module(module)
