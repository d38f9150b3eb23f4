"""Measure a resident model's requests and /health while other models load, against the same without loads."""

import asyncio
import tempfile
from pathlib import Path

from benchmarks.daemon import Daemon, daemon, make_model
from benchmarks.report import Report, percentile


async def run(runs: int = 6) -> Report:
    """Return latencies of alternating rounds, with and without a load going on beside them."""
    report = Report("resident model while another loads")
    with tempfile.TemporaryDirectory(prefix="mlxd-bench-") as folder:
        resident = await make_model(Path(folder) / "resident")
        other = await make_model(
            Path(folder) / "other", "qwen3", "--hidden", "1024", "--layers", "8"
        )
        models = [
            {"id": "resident", "source": str(resident), "pin": True},
            {"id": "other", "source": str(other)},
        ]
        async with daemon({"models": models}) as running:
            await running.first_token("resident")
            for _ in range(runs):
                quiet = asyncio.create_task(asyncio.sleep(3))
                await _ask_until(quiet, running, report, "alone")
                load = asyncio.create_task(running.first_token("other"))
                await _ask_until(load, running, report, "beside a load")
                await running.unload("other")
    alone = percentile(report.samples["request, alone"], 0.95)
    beside = percentile(report.samples["request, beside a load"], 0.95)
    report.ratios["p95 of requests, beside a load / alone"] = beside / alone
    return report


async def _ask_until(
    task: "asyncio.Task[object]", running: Daemon, report: Report, when: str
) -> None:
    clock = asyncio.get_running_loop().time
    while not task.done():
        report.add(f"request, {when}", await running.first_token("resident"))
        began = clock()
        await running.get("/health")
        report.add(f"/health, {when}", clock() - began)
    await task
