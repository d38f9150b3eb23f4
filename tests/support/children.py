"""Start real processes that follow scripts, ask them, and see whether anything of them is left."""

import asyncio
import gc
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import Any

import psutil
import pytest
from support.child import ENTRY, Script
from support.pools import model

from mlxd.config.spec import ModelSpec
from mlxd.supervisor.lifecycle.process import SpawnLauncher


@contextmanager
def spawning() -> Iterator[SpawnLauncher]:
    """Give a launcher of scripted children that start fast.

    A spawned child runs the parent's main module once more; pytest's would cost each of them 0.3 s.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "__main__", ModuleType("__main__"))
        yield SpawnLauncher(ENTRY)


@contextmanager
def run_directory() -> Iterator[Path]:
    """Give a folder whose path is short enough for sockets."""
    folder = Path(tempfile.mkdtemp(prefix="mlxd-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def scripted(folder: Path, model_id: str = "a", **script: Any) -> ModelSpec:
    """Return a model whose worker follows this script."""
    path = folder / f"{model_id}.json"
    path.write_text(Script(**script).to_json())
    return model(model_id, path)


async def ask(socket: str, tokens: int = 3) -> list[str]:
    """Return the events of one streamed answer; raises ConnectionError where it is cut short."""
    reader, writer = await asyncio.open_unix_connection(socket)
    try:
        body = b'{"max_tokens": %d, "stream": true}' % tokens
        writer.write(b"POST /v1/chat/completions HTTP/1.1\r\n")
        writer.write(b"content-length: %d\r\n\r\n" % len(body) + body)
        answer = await reader.read()
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
    if not answer.endswith(b"0\r\n\r\n"):
        raise ConnectionError(answer)
    return [line[6:] for line in answer.decode().splitlines() if line.startswith("data: ")]


def is_gone(pid: int) -> bool:
    """Tell whether the process ended and somebody has taken its exit status."""
    return not psutil.pid_exists(pid)


def has_ended(pid: int) -> bool:
    """Tell whether the process ended; its exit status may lie there still."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def open_files() -> int:
    """Return how many descriptors this process holds; what earlier tests dropped is none of them."""
    gc.collect()
    return psutil.Process(os.getpid()).num_fds()
