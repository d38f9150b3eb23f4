"""Ask the running daemon: have it make a token, unload, and answer under another name."""

import subprocess
import time
from dataclasses import replace
from typing import Any, Literal
from urllib.parse import urlsplit

import psutil

from mlxd.config import demo
from mlxd.protocol.lifecycle import ALIVE
from mlxd.supervisor.client import AsyncClient, DaemonError
from mlxd.supervisor.doctor.facts import Facts, Probe

IMAGES = ("busybox", "alpine", "curlimages/curl")
"""Small images with something that fetches; none is ever pulled."""
HOST = "host.docker.internal"
_DOCKER_S = 10.0
_RUN_S = 60.0
_PROMPT = [{"role": "user", "content": "Say hello."}]


async def ask(facts: Facts, client: AsyncClient) -> Facts:
    """Return the facts with what the daemon says added."""
    try:
        await client.get("/health")
    except DaemonError as error:
        return replace(facts, daemon_error=error.message)
    port = urlsplit(client.url).port or 80
    status = await client.status("/health", host=f"{HOST}:{port}")
    found = replace(facts, host_status=status)
    container, says = from_container(port)
    found = replace(found, container=container, container_says=says)
    if facts.settings is None or not facts.settings.demo:
        return found
    return replace(found, probe=await token(client))


async def token(client: AsyncClient) -> Probe:
    """Have the demo model make one token; unload it again if it was not loaded before."""
    try:
        was_loaded = any(m.id == demo.ID and m.state in ALIVE for m in (await client.ps()).models)
        before, started = _wired(), time.monotonic()
        await client.chat(demo.ID, _PROMPT, max_tokens=1)
        seconds = time.monotonic() - started
        pid, footprint = next(
            (m.pid, m.memory_bytes) for m in (await client.ps()).models if m.id == demo.ID
        )
        probe = Probe(
            token_seconds=seconds,
            was_loaded=was_loaded,
            wired_limit=_limit(await client.get("/v1/batch/stats")),
            footprint=footprint,
            wired_before=before,
            wired_during=_wired(),
        )
        if was_loaded:
            return probe
        freed = (await client.unload(demo.ID, force=True)).freed_bytes
    except DaemonError as error:
        return Probe(error=f"{error.code}: {error.message}")
    return replace(probe, freed=freed, wired_after=_wired(), is_gone=_is_gone(pid))


def from_container(port: int) -> tuple[Literal["no docker", "no image"] | bool, str]:
    """Have a container ask the daemon, with an image that is here already; return what it said, too."""
    if _docker(_DOCKER_S, "version") is None:
        return "no docker", ""
    image = next((i for i in IMAGES if _docker(_DOCKER_S, "image", "inspect", i) is not None), None)
    if image is None:
        return "no image", ""
    tool = ["curl", "-sS"] if "curl" in image else ["wget", "-q", "-O", "-"]
    address = f"http://{HOST}:{port}/health"
    options = ("--rm", "--pull=never", f"--add-host={HOST}:host-gateway", f"--entrypoint={tool[0]}")
    said = _docker(_RUN_S, "run", *options, image, *tool[1:], address, say_why=True) or ""
    return '"ok"' in said, said.strip().partition("\n")[0]


def _docker(timeout: float, *words: str, say_why: bool = False) -> str | None:
    try:
        done = subprocess.run(
            ["docker", *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    if done.returncode:
        return done.stderr if say_why else None
    return done.stdout


def _wired() -> int | None:
    """Return the bytes the whole machine has wired; only macOS counts them."""
    return getattr(psutil.virtual_memory(), "wired", None)


def _limit(stats: Any) -> int | None:
    for model in stats.get("models", []):
        if model.get("id") == demo.ID:
            value = model.get("wired_limit_bytes")
            return value if isinstance(value, int) else None
    return None


def _is_gone(pid: int | None) -> bool:
    return pid is None or not psutil.pid_exists(pid)
