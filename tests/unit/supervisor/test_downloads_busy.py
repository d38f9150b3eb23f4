"""Whether anything is being downloaded is known from the first moment to the last."""

import asyncio
import contextlib
import sys
from pathlib import Path
from typing import Any, cast

import pytest
from support.deadline import eventually

from mlxd.config.load import load
from mlxd.config.paths import Paths
from mlxd.supervisor.downloads import child
from mlxd.supervisor.downloads.downloads import Downloads

WAITING = "import sys; sys.stdin.readline(); sys.stdin.read()"


async def test_it_is_busy_while_a_model_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child, "COMMAND", (sys.executable, "-S", "-c", WAITING))
    env = {"HOME": str(tmp_path)}
    nobody = cast(Any, None)
    downloads = Downloads(Paths.of(env), nobody, nobody, settings=load(None, env))
    assert not downloads.is_busy
    steps = downloads.pull("org/name")
    first = asyncio.ensure_future(anext(steps))
    await eventually(lambda: downloads.is_busy)
    first.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await first
    await steps.aclose()
    assert not downloads.is_busy
