"""Run a real `mlxd` in a home of its own, for as long as a block runs."""

import asyncio
import json
import os
import re
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

_MAKE_MODEL = Path(__file__).resolve().parent.parent / "make-model"
_LISTENING = re.compile(r"listening on (http://\S+)")


@dataclass
class Daemon:
    """A running daemon and a client of it."""

    pid: int
    home: Path
    client: httpx.AsyncClient

    async def first_token(self, model: str, tokens: int = 1) -> float:
        """Return the seconds from sending a streamed request to its first text."""
        return await first_token(self.client, model, tokens)

    async def unload(self, model: str) -> None:
        """Have the model's worker gone."""
        answer = await self.client.post("/v1/models/unload", json={"model": model})
        answer.raise_for_status()

    async def get(self, path: str) -> Any:
        """Return the JSON of a GET."""
        return (await self.client.get(path)).json()

    def sockets(self) -> list[Path]:
        """Return the Unix sockets of the workers."""
        return sorted((self.home / "run").rglob("*.sock"))


async def first_token(client: httpx.AsyncClient, model: str, tokens: int = 1) -> float:
    """Return the seconds from sending a streamed request to its first text, and read the stream to its end."""
    body = {
        "model": model, "stream": True, "max_tokens": tokens, "temperature": 0, "ignore_eos": True,
        "messages": [{"role": "user", "content": "Hello"}],
    }  # fmt: skip
    clock = asyncio.get_running_loop().time
    began, first = clock(), None
    async with client.stream("POST", "/v1/chat/completions", json=body) as response:
        response.raise_for_status()
        async for line in response.aiter_lines():
            if first is None and '"content":"' in line and '"content":""' not in line:
                first = clock() - began
    if first is None:
        raise RuntimeError(f"{model} said nothing")
    return first


@asynccontextmanager
async def daemon(config: Mapping[str, Any]) -> AsyncIterator[Daemon]:
    """Start mlxd with this configuration on a free port of loopback."""
    home = Path(tempfile.mkdtemp(prefix="mlxd-bench-", dir="/tmp"))
    (home / "config.yaml").write_text(json.dumps({"server": {"port": 0}, "hub": False, **config}))
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MLXD_")}
    process = await asyncio.create_subprocess_exec(
        "mlxd",
        env=kept | {"MLXD_HOME": str(home)},
        stdout=asyncio.subprocess.PIPE,
        stderr=(home / "mlxd.log").open("wb"),
    )
    try:
        assert process.stdout is not None
        line = (await process.stdout.readline()).decode()
        found = _LISTENING.search(line)
        if found is None:
            raise RuntimeError((home / "mlxd.log").read_text())
        async with httpx.AsyncClient(base_url=found[1], timeout=300) as client:
            yield Daemon(process.pid, home, client)
    finally:
        process.send_signal(signal.SIGTERM)
        await process.wait()
        shutil.rmtree(home, ignore_errors=True)


async def make_model(folder: Path, kind: str = "qwen3", *options: str) -> Path:
    """Write a tiny real model folder."""
    process = await asyncio.create_subprocess_exec(
        str(_MAKE_MODEL), kind, str(folder), *options, stdout=asyncio.subprocess.DEVNULL
    )
    if await process.wait():
        raise RuntimeError(f"no model at {folder}")
    return folder
