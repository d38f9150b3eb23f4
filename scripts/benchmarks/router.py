"""Measure what the supervisor adds: first byte and events per CPU second, against the worker's own socket.

Where nginx is installed, it relays the same requests to the same worker for comparison, on a loopback port as the
supervisor does.
"""

import asyncio
import os
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import httpx
import psutil

from benchmarks.daemon import daemon, first_token, make_model
from benchmarks.report import Report

_STREAMS = 16
_TOKENS = 200
_NGINX = """
{user}daemon off; pid {folder}/pid; error_log {folder}/error.log; worker_processes 1;
events {{ worker_connections 512; }}
http {{
  access_log off; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  server {{ listen 127.0.0.1:{port};
    location / {{ proxy_pass http://unix:{worker}:; proxy_buffering off; proxy_http_version 1.1; }} }}
}}
"""


async def run(runs: int = 200) -> Report:
    """Return first-byte times of interleaved single requests, then the relay's CPU under parallel streams."""
    report = Report("the supervisor against the worker itself")
    with tempfile.TemporaryDirectory(prefix="mlxd-bench-") as folder:
        path = await make_model(Path(folder) / "tiny")
        async with AsyncExitStack() as stack:
            running = await stack.enter_async_context(
                daemon({"models": [{"id": "tiny", "source": str(path)}]})
            )
            await running.first_token("tiny")
            worker = next(iter(running.sockets()))
            clients = {
                "worker": await stack.enter_async_context(_over(worker)),
                "supervisor": running.client,
            }
            pids = {"supervisor": running.pid}
            if shutil.which("nginx"):
                front, pids["nginx"] = await stack.enter_async_context(_nginx(worker))
                clients["nginx"] = await stack.enter_async_context(
                    httpx.AsyncClient(base_url=front, timeout=300)
                )
            for _ in range(runs):
                for name, client in clients.items():
                    report.add(name, await first_token(client, "tiny"))
            for name, pid in pids.items():
                report.figures[f"events per CPU second, {name}"] = await _events(clients[name], pid)
    for name in pids:
        report.paired(f"first token, {name} / worker", name, "worker")
        for share, label in ((0.5, "p50"), (0.99, "p99")):
            added = _at(report, name, share) - _at(report, "worker", share)
            report.figures[f"added to the first token, {name}, {label}, ms"] = added * 1000
    return report


def _at(report: Report, name: str, share: float) -> float:
    ordered = sorted(report.samples[name])
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


@asynccontextmanager
async def _over(socket: Path) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.AsyncHTTPTransport(uds=str(socket))
    async with httpx.AsyncClient(
        transport=transport, base_url="http://localhost", timeout=300
    ) as client:
        yield client


@asynccontextmanager
async def _nginx(worker: Path) -> AsyncIterator[tuple[str, int]]:
    folder = Path(tempfile.mkdtemp(prefix="mlxd-nginx-", dir="/tmp"))
    port = _free_port()
    # Started by root it would leave the worker's socket to a user who may not open it.
    user = "user root; " if os.geteuid() == 0 else ""
    text = _NGINX.format(folder=folder, worker=worker, port=port, user=user)
    (folder / "conf").write_text(text)
    process = await asyncio.create_subprocess_exec("nginx", "-c", str(folder / "conf"))
    try:
        workers: list[psutil.Process] = []
        while not workers or not (folder / "pid").exists():  # nginx tells nobody
            await asyncio.sleep(0.05)
            if process.returncode is not None:
                raise RuntimeError((folder / "error.log").read_text())
            workers = psutil.Process(process.pid).children()
        yield f"http://127.0.0.1:{port}", workers[0].pid
    finally:
        process.terminate()
        await process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def _events(client: httpx.AsyncClient, pid: int) -> float:
    """Return how many events one CPU second of the process relays, with many streams at once."""
    before = _cpu(pid)
    await asyncio.gather(*(first_token(client, "tiny", _TOKENS) for _ in range(_STREAMS)))
    return _STREAMS * _TOKENS / max(_cpu(pid) - before, 0.01)


def _cpu(pid: int) -> float:
    times = psutil.Process(pid).cpu_times()
    return times.user + times.system
