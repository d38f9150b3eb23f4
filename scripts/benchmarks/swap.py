"""Measure how long a cold model takes to its first token: from a standby worker, from nothing, and at the least.

The floor is a process that has everything imported and only reads the weights and the tokenizer and makes one step.
"""

import asyncio
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import psutil

from benchmarks.daemon import Daemon, daemon, make_model
from benchmarks.report import Report

_FLOOR = """
import sys, time, json
sys.modules["torch"] = None
import mlx.core as mx
import mlx_lm, mlx_lm.generate
from mlx_lm.utils import load
for line in sys.stdin:
    began = time.perf_counter()
    model, tokenizer = load(line.strip())
    prompt = tokenizer.apply_chat_template([{"role": "user", "content": "Hello"}], add_generation_prompt=True)
    mx.eval(model(mx.array([prompt]))[:, -1].argmax(-1))
    print(json.dumps(time.perf_counter() - began), flush=True)
"""
_QUIET_S = 0.5


async def run(runs: int = 9) -> Report:
    """Return medians of interleaved runs."""
    report = Report("cold model, request to first token")
    with tempfile.TemporaryDirectory(prefix="mlxd-bench-") as folder:
        path = await make_model(Path(folder) / "tiny")
        models = [{"id": "tiny", "source": str(path)}]
        floor = await asyncio.create_subprocess_exec(
            sys.executable, "-c", _FLOOR,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        off: dict[str, Any] = {"models": models, "defaults": {"standby_workers": 0}}
        on: dict[str, Any] = {"models": models, "defaults": {"standby_workers": 1}}
        async with daemon(on) as ahead, daemon(off) as behind:
            await _floor(floor, path)
            for _ in range(runs + 1):
                await _until_quiet(ahead)
                report.add("with standby", await ahead.first_token("tiny"))
                await ahead.unload("tiny")
                await _until_quiet(ahead)
                report.add("without", await behind.first_token("tiny"))
                await behind.unload("tiny")
                report.add("floor", await _floor(floor, path))
        floor.terminate()
        await floor.wait()
    for samples in report.samples.values():
        del samples[0]  # files come into the page cache, code into Python's
    report.paired("without standby / with", "without", "with standby")
    report.paired("with standby / floor", "with standby", "floor")
    report.figures["added to the floor, seconds"] = report.median("with standby") - report.median(
        "floor"
    )
    return report


async def _floor(process: asyncio.subprocess.Process, path: Path) -> float:
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write(f"{path}\n".encode())
    return float(json.loads(await process.stdout.readline()))


async def _until_quiet(running: Daemon) -> None:
    """Wait until the daemon's processes have stopped using the processor: the standby worker has imported all."""
    while True:
        before = _cpu_seconds(running.pid)
        await asyncio.sleep(_QUIET_S)
        if _cpu_seconds(running.pid) - before < 0.02:
            return


def _cpu_seconds(pid: int) -> float:
    total = 0.0
    for process in [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]:
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system
    return total
