"""Start a real worker through the supervisor's trampoline and talk to it as the supervisor does."""

import contextlib
import multiprocessing
import os
import shutil
import signal
import socket
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil

from mlxd.protocol import control
from mlxd.protocol.control import Failed, FromWorker, Ready, Start, Stop
from mlxd.protocol.kinds import ModelKind
from mlxd.protocol.spec import WorkerSpec
from mlxd.supervisor.lifecycle import trampoline

PATIENCE = 60.0


class WorkerProcess:
    """Own a child, its control channel, its log and its socket's folder."""

    def __init__(self, entry: str) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="mlxd-w-"))
        self.socket = str(self.folder / "worker.sock")
        context = multiprocessing.get_context("spawn")
        self.channel, theirs = socket.socketpair()
        read, write = context.Pipe(duplex=False)
        self.process = context.Process(
            target=trampoline.enter, args=(entry, theirs, write), daemon=True
        )
        self.process.start()
        theirs.close()
        write.close()
        self._log_pipe = read
        self._log = b""
        self._reader = threading.Thread(target=self._read_log, daemon=True)
        self._reader.start()
        self._buffer = b""
        self.channel.settimeout(PATIENCE)
        assert self.process.pid is not None
        self.pid: int = self.process.pid

    def _read_log(self) -> None:
        while chunk := os.read(self._log_pipe.fileno(), 65536):
            self._log += chunk

    @property
    def log(self) -> str:
        """What the worker wrote so far."""
        return self._log.decode(errors="replace")

    def send(self, message: control.ToWorker) -> None:
        """Send a control message."""
        self.channel.sendall(control.encode(message))

    def receive(self) -> FromWorker | None:
        """Return the next message, None at the end of the channel."""
        while b"\n" not in self._buffer:
            chunk = self.channel.recv(65536)
            if not chunk:
                return None
            self._buffer += chunk
        line, self._buffer = self._buffer.split(b"\n", 1)
        return control.decode_from_worker(line)

    def until(self, *kinds: type) -> list[FromWorker]:
        """Return the messages up to the first of these kinds."""
        seen: list[FromWorker] = []
        while True:
            message = self.receive()
            if message is None:
                raise AssertionError(f"the worker left after {seen}: {self.log}")
            seen.append(message)
            if isinstance(message, kinds):
                return seen

    def load(self, folder: Path, **settings: Any) -> list[FromWorker]:
        """Ask for a model and return what came until it was ready or had failed."""
        spec = WorkerSpec(
            model_id="tiny",
            kind=settings.pop("kind", ModelKind.TEXT),
            path=str(folder),
            socket=self.socket,
            **settings,
        )
        self.send(Start(spec))
        return self.until(Ready, Failed)

    def client(self) -> httpx.Client:
        """Return a client of the worker's socket."""
        return httpx.Client(
            transport=httpx.HTTPTransport(uds=self.socket),
            base_url="http://worker",
            timeout=PATIENCE,
        )

    def stop(self) -> None:
        """Ask the worker to leave."""
        self.send(Stop("unload"))

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the worker alone."""
        os.kill(self.pid, number)

    def exit_code(self, within: float = PATIENCE) -> int:
        """Wait for the end and return the exit code, negative for a signal."""
        self.process.join(within)
        assert self.process.exitcode is not None, f"still running: {self.log}"
        self._reader.join(within)
        return self.process.exitcode

    def cpu_seconds(self) -> float:
        """Return the processor time used so far."""
        times = psutil.Process(self.pid).cpu_times()
        return float(times.user + times.system)

    def cpu_of(self, seconds: float) -> float:
        """Return the processor time used in the seconds that follow."""
        before = self.cpu_seconds()
        self.process.join(seconds)
        return self.cpu_seconds() - before

    def close(self) -> None:
        """End the process and remove what it left."""
        if self.process.is_alive():
            self.process.kill()
        self.process.join(PATIENCE)
        self._reader.join(PATIENCE)
        self.channel.close()
        self._log_pipe.close()
        self.process.close()
        shutil.rmtree(self.folder, ignore_errors=True)


@contextlib.contextmanager
def worker(entry: str = "mlxd.workers.main:run") -> Iterator[WorkerProcess]:
    """Give a started worker that has no model yet."""
    made = WorkerProcess(entry)
    try:
        yield made
    finally:
        made.close()


@contextlib.contextmanager
def loaded(
    folder: Path, *, entry: str = "mlxd.workers.main:run", **settings: Any
) -> Iterator[WorkerProcess]:
    """Give a worker that is ready to answer."""
    with worker(entry) as made:
        *_, last = made.load(folder, **settings)
        assert isinstance(last, Ready), f"{last}: {made.log}"
        yield made


def chat(max_tokens: int, **more: object) -> dict[str, object]:
    """Return a chat request."""
    message = {"role": "user", "content": "Tell me a long story about anything"}
    return {"model": "tiny", "messages": [message], "max_tokens": max_tokens, **more}


class Stream(threading.Thread):
    """Read a streamed answer on a thread of its own."""

    def __init__(
        self, worker: WorkerProcess, body: dict[str, object], path: str = "/v1/chat/completions"
    ) -> None:
        super().__init__(daemon=True)
        self._client = worker.client()
        self._body = body
        self._path = path
        self.started = threading.Event()
        self.text = ""
        self.start()

    def run(self) -> None:
        """Collect all bytes."""
        with (
            contextlib.suppress(httpx.HTTPError),
            self._client,
            self._client.stream("POST", self._path, json=self._body) as answer,
        ):
            for chunk in answer.iter_text():
                self.text += chunk
                if '"content"' in self.text:
                    self.started.set()
