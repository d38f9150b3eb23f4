"""Start what is compared: mlxd, mlx_lm.server of the same venv, and other servers whose virtualenvs are given."""

import asyncio
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil

from benchmarks.daemon import Daemon, daemon
from benchmarks.stream import Stream, stream

MLXD = "mlxd"
REFERENCE = "mlx_lm.server"
_START_S = 120.0
_COMMANDS = {
    "vllm-mlx": ("vllm-mlx", "serve", "{model}", "--continuous-batching"),
    "rapid-mlx": ("rapid-mlx", "serve", "{model}"),
}


@dataclass(frozen=True)
class Contender:
    """A server under test, and how it is asked."""

    name: str
    address: tuple[str, int]
    model: str
    pid: int
    extra: Mapping[str, Any]
    """Fields of a body that only this server knows."""
    running: Daemon | None = None
    """mlxd's own."""

    async def ask(
        self,
        content: str | list[dict[str, str]],
        live: asyncio.Event | None = None,
        into: Stream | None = None,
        **fields: Any,
    ) -> Stream:
        """Stream an answer to one message or to a conversation."""
        messages = [{"role": "user", "content": content}] if isinstance(content, str) else content
        body = {"model": self.model, "messages": messages, **self.extra, **fields}
        return await stream(self.address, body, live, into)

    def cpu_seconds(self) -> float:
        """Return the processor time of the server and its children."""
        total = 0.0
        for process in [psutil.Process(self.pid), *psutil.Process(self.pid).children(True)]:
            try:
                times = process.cpu_times()
            except psutil.NoSuchProcess:
                continue
            total += times.user + times.system
        return total


@asynccontextmanager
async def mlxd(model: Path, **settings: Any) -> AsyncIterator[Contender]:
    """Run mlxd with this model loaded."""
    entry = {"id": "tiny", "source": str(model), "pin": True, **settings}
    async with daemon({"models": [entry], "defaults": {"standby_workers": 0}}) as running:
        url = running.client.base_url
        assert url.port is not None
        extra = {"ignore_eos": True}
        contender = Contender(MLXD, (url.host, url.port), "tiny", running.pid, extra, running)
        await contender.ask("Hello", max_tokens=8)
        yield contender


@asynccontextmanager
async def mlx_lm_server(model: Path, rows: int = 32) -> AsyncIterator[Contender]:
    """Run mlx_lm.server of the same Python on a free port of loopback."""
    command = (
        sys.executable, "-P", "-m", "mlx_lm.server", "--model", str(model), "--log-level", "ERROR",
        "--decode-concurrency", str(rows),
    )  # fmt: skip
    async with _served(REFERENCE, command, "default_model") as contender:
        yield contender


@asynccontextmanager
async def peer(name: str, venv: Path, model: Path) -> AsyncIterator[Contender]:
    """Run another server from a virtualenv of its own."""
    program, *rest = _COMMANDS[name]
    command = (str(venv / "bin" / program), *(part.format(model=model) for part in rest))
    async with _served(name, command, str(model)) as contender:
        yield contender


@asynccontextmanager
async def contenders(
    model: Path, rows: int, peers: Mapping[str, Path]
) -> AsyncIterator[list[Contender]]:
    """Run all of them side by side, mlxd first."""
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(mlxd(model, max_batch=rows)),
            await stack.enter_async_context(mlx_lm_server(model, rows)),
            *[
                await stack.enter_async_context(peer(name, venv, model))
                for name, venv in peers.items()
            ],
        ]


def peers_of(given: Sequence[str]) -> dict[str, Path]:
    """Read `NAME=VENV` arguments; raises ValueError for a name that is not known here."""
    found: dict[str, Path] = {}
    for item in given:
        name, _, venv = item.partition("=")
        if name not in _COMMANDS or not Path(venv, "bin", _COMMANDS[name][0]).exists():
            known = ", ".join(_COMMANDS)
            raise ValueError(f"--peer {item}: expected NAME=VENV with one of {known} installed")
        found[name] = Path(venv)
    return found


@asynccontextmanager
async def _served(name: str, command: Sequence[str], model: str) -> AsyncIterator[Contender]:
    port = _free_port()
    folder = Path(tempfile.mkdtemp(prefix="mlxd-bench-", dir="/tmp"))
    kept = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    with (folder / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *command, "--host", "127.0.0.1", "--port", str(port),
            cwd=folder, env=kept, stdout=log, stderr=log,
        )  # fmt: skip
    contender = Contender(name, ("127.0.0.1", port), model, process.pid, {})
    try:
        await _until_up(contender, process, folder / "log")
        await contender.ask("Hello", max_tokens=8)
        yield contender
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        shutil.rmtree(folder, ignore_errors=True)


async def _until_up(contender: Contender, process: asyncio.subprocess.Process, log: Path) -> None:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _START_S
    async with httpx.AsyncClient(base_url="http://{}:{}".format(*contender.address)) as client:
        while process.returncode is None and loop.time() < deadline:
            try:
                if (await client.get("/v1/models")).status_code == 200:
                    return
            except httpx.HTTPError:
                await asyncio.sleep(0.1)
    said = await asyncio.to_thread(log.read_text)
    raise RuntimeError(f"{contender.name} did not start: {said[-2000:]}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
