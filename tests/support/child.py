"""Be a worker without a model: a real process that follows a script, well or badly.

Runs in the spawned child (`SpawnLauncher("support.child:run")`), so it imports little. The script is JSON in the file
that the spec's path names, over JSON in the variable SUPPORT_CHILD for what comes before the spec.
"""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NoReturn

from mlxd.protocol import control
from mlxd.protocol.exit_codes import ExitCode

ENTRY = "support.child:run"
VARIABLE = "SUPPORT_CHILD"
_FOREVER_S = 1e6
_FLOOD = b"all work and no play makes a dull log\n" * 1000


@dataclass(frozen=True)
class Script:
    """Say how the worker behaves; by default, well."""

    hello: str = "good"
    """good, garbage, other version, never or hang"""
    exits_at_start: int | None = None
    load_steps: int = 1
    """Messages of progress before it is ready."""
    load_step_s: float = 0.0
    load: str = "works"
    """works, hangs or exits"""
    load_exit: int = ExitCode.LOAD_FAILED
    load_error: str | None = None
    """What it says before it exits."""
    floods: bool = False
    """Print without end, from the load on."""
    prints: str = ""
    ignores_stop: bool = False
    ignores_sigterm: bool = False
    token_s: float = 0.0
    """Time between two tokens."""
    dies_at: int | None = None
    """Number of the request in whose middle it is killed."""
    hangs_at: int | None = None
    """Number of the request in whose middle nothing goes on."""

    def to_json(self) -> str:
        """Return it for the file or the variable."""
        return json.dumps(asdict(self))


def run(channel: socket.socket) -> None:
    """Follow the script until told to leave."""
    channel.setblocking(False)
    script = Script(**json.loads(os.environ.get(VARIABLE, "{}")))
    asyncio.run(Worker(channel, script).live())


def leave(code: int) -> NoReturn:
    """End the process at once, as real workers do."""
    os._exit(code)


class Worker:
    """Hold the one model that there is not."""

    def __init__(self, channel: socket.socket, script: Script) -> None:
        self._channel = channel
        self._script = script
        self._steps = self._rows = self._requests = 0
        self._received = b""

    async def live(self) -> None:
        """Report, load, serve; ends only by `leave`."""
        self._follow_signals()
        if self._script.exits_at_start is not None:
            leave(self._script.exits_at_start)
        self._hello()
        spec = await self._start()
        self._script = _read_script(spec.path) or self._script
        self._follow_signals()
        serving = asyncio.create_task(self._serve(spec.socket))
        while (message := await self._receive()) is not None:
            if isinstance(message, control.Stop) and not self._script.ignores_stop:
                leave(ExitCode.OK)
        serving.cancel()
        leave(ExitCode.PARENT_GONE)

    def _follow_signals(self) -> None:
        if self._script.ignores_sigterm:
            asyncio.get_running_loop().remove_signal_handler(signal.SIGTERM)
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        else:
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, leave, ExitCode.OK)

    def _hello(self) -> None:
        match self._script.hello:
            case "good":
                self._send(control.Hello(os.getpid()))
            case "other version":
                self._send(control.Hello(os.getpid(), control.VERSION + 1))
            case "garbage":
                self._channel.send(b'{"type":"Hello"}\n\xff\xfe\n[]\nwho is there?\n')
            case "hang":
                _hang()

    async def _start(self) -> Any:
        message = await self._receive()
        if message is None:
            leave(ExitCode.PARENT_GONE)
        if isinstance(message, control.Stop):
            leave(ExitCode.OK)
        assert isinstance(message, control.Start)
        return message.spec

    async def _serve(self, path: str) -> None:
        os.write(1, self._script.prints.encode())
        if self._script.floods:
            threading.Thread(target=_flood, daemon=True).start()
        for step in range(self._script.load_steps):
            await asyncio.sleep(self._script.load_step_s)
            self._send(control.LoadProgress(step + 1, self._script.load_steps))
        if self._script.load == "exits":
            if self._script.load_error is not None:
                code = ExitCode.LOAD_FAILED
                self._send(control.Failed(code, self._script.load_error))
            leave(self._script.load_exit)
        if self._script.load == "hangs":
            _hang()
        server = await asyncio.start_unix_server(self._answer, path)
        self._send(control.Ready(weights_bytes=1000, context_length=2048, load_seconds=0.0))
        await server.serve_forever()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
            if head.startswith("post"):
                length = int(head.split("content-length:")[1].split("\r\n")[0])
                await self._generate(json.loads(await reader.readexactly(length)), writer)
            else:
                body = json.dumps({"generation_tokens_per_second": 10.0, "rows": self._rows})
                writer.write(_head("application/json", f"content-length: {len(body)}"))
                writer.write(body.encode())
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client left
        finally:
            writer.close()

    async def _generate(self, body: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        self._requests += 1
        request = self._requests
        self._beat(rows=+1)
        try:
            writer.write(_head("text/event-stream", "transfer-encoding: chunked"))
            for number in range(body.get("max_tokens", 3)):
                _chunk(writer, f"data: token {number}\n\n".encode())
                await writer.drain()
                if request == self._script.dies_at:
                    os.kill(os.getpid(), signal.SIGKILL)
                if request == self._script.hangs_at:
                    _hang()
                await asyncio.sleep(self._script.token_s)
                self._steps += 1
                self._beat()
            _chunk(writer, b"data: [DONE]\n\n")
            _chunk(writer, b"")
        finally:
            self._beat(rows=-1)

    def _beat(self, rows: int = 0) -> None:
        self._rows += rows
        self._send(control.Heartbeat(self._steps, self._rows))

    def _send(self, message: control.FromWorker) -> None:
        try:
            self._channel.send(control.encode(message))
        except OSError:
            leave(ExitCode.PARENT_GONE)

    async def _receive(self) -> control.ToWorker | None:
        while b"\n" not in self._received:
            chunk = await asyncio.get_running_loop().sock_recv(self._channel, 1 << 16)
            if not chunk:
                return None
            self._received += chunk
        line, _, self._received = self._received.partition(b"\n")
        return control.decode_to_worker(line)


def _read_script(path: str) -> Script | None:
    file = Path(path)
    return Script(**json.loads(file.read_text())) if file.is_file() else None


def _head(content_type: str, framing: str) -> bytes:
    lines = ("HTTP/1.1 200 OK", f"content-type: {content_type}", framing, "connection: close")
    return "\r\n".join((*lines, "", "")).encode()


def _chunk(writer: asyncio.StreamWriter, content: bytes) -> None:
    writer.write(f"{len(content):x}\r\n".encode() + content + b"\r\n")


def _hang() -> NoReturn:
    while True:
        time.sleep(_FOREVER_S)


def _flood() -> NoReturn:
    while True:
        os.write(1, _FLOOD)


def leave_a_flooding_child(channel: socket.socket) -> NoReturn:
    """End, but for a grandchild that inherits the log and prints without end."""
    code = "import os\nos.write(1, b'dull\\n')\nos.write(2, b'.')\nwhile 1: os.write(1, b'log\\n' * 9999)"
    with subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE) as grandchild:
        os.write(1, b"%d\n" % grandchild.pid)
        assert grandchild.stderr is not None
        grandchild.stderr.read(1)
        leave(7)
