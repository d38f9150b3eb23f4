"""Measure loops in one process, without HTTP: what the model needs at the least, ours, and that of mlx_lm.server.

Times are the loop's wall time per step and the processor time of its own thread: Python and the dispatch of
operations, not what MLX's own thread computes.
"""

import asyncio
import json
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from benchmarks import openblas
from benchmarks.daemon import make_model
from benchmarks.report import Report

_FLOOR, _OURS, _THEIRS = "argmax loop", "mlxd", "mlx_lm.server's loop"


async def run(
    runs: int = 7, *, rows: int = 64, steps: int = 40, peers: Mapping[str, Path] | None = None
) -> Report:
    """Return medians of interleaved blocks of steps."""
    report = Report(f"a step of {rows} rows of mixed sampling, without HTTP", unit="ms per step")
    report.notes.append(openblas.preload())
    if peers:
        report.notes.append("other servers have no loop that runs here")
    with tempfile.TemporaryDirectory(prefix="mlxd-bench-") as folder:
        model = await make_model(Path(folder) / "tiny")
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-P", "-m", "benchmarks.loops", str(model), str(rows), str(steps), str(runs),
            stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        said, _ = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"the loops ended with {process.returncode}")
    for name, wall, thread in json.loads(said.splitlines()[-1]):
        report.add(f"step, {name}", wall * 1000)
        report.add(f"own thread, {name}", thread * 1000)
    for what in ("step", "own thread"):
        for name in (_FLOOR, _THEIRS):
            report.paired(f"{what}, {_OURS} / {name}", f"{what}, {_OURS}", f"{what}, {name}")
    for name in (_FLOOR, _OURS, _THEIRS):
        report.figures[f"own thread, ms per step, {name}"] = report.median(f"own thread, {name}")
    return report
