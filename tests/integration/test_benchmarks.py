"""Every benchmark of the engines runs, and says what it found in JSON."""

import asyncio
import json
import os
import signal
import sys
from math import isfinite
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SMALL = "size=('--hidden', '32', '--layers', '2')"
SIZES = {
    "decode": "1, streams=(1, 2), tokens=12",
    "prefill": f"1, tokens=300, {SMALL}",
    "cache": f"1, tokens=1000, {SMALL}",
    "mixed": f"1, requests=6, long=(100, 8), {SMALL}",
    "speculate": "1, tokens=20, size=('--hidden', '32', '--layers', '2')",
    "floor": "2, rows=4, steps=5",
    "embed": "1, texts=4, words=4, sizes=['tiny']",
}
RUN = """
import asyncio, json, pathlib, sys
from benchmarks import {name}, plot
report = asyncio.run({name}.run({sizes}))
if report.plot is not None:
    plot.draw(report, pathlib.Path(sys.argv[1]))
print(json.dumps(report.as_json()))
"""


async def output(*arguments: str) -> str:
    own = {"PYTHONPATH": str(ROOT / "scripts"), "MLX_DISABLE_COMPILE": "1"}
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-P", *arguments,
        env=os.environ | own | {"PATH": path}, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        said, _ = await process.communicate()
    finally:
        if process.returncode is None:  # as Ctrl-C does: it ends the servers that it started
            process.send_signal(signal.SIGINT)
            await process.wait()
    assert process.returncode == 0
    return said.decode()


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", SIZES)
async def test_a_benchmark_runs_and_its_json_is_well_formed(name: str, tmp_path: Path) -> None:
    picture = tmp_path / "plot.png"
    said = await output("-c", RUN.format(name=name, sizes=SIZES[name]), str(picture))
    found = json.loads(said.splitlines()[-1])
    assert found["title"] and found["ratios"] and found["samples"] and found["notes"]
    numbers = [*found["ratios"].values(), *found["figures"].values()]
    assert all(isfinite(number) and number >= 0 for number in numbers)
    assert {len(samples) > 0 for samples in found["samples"].values()} == {True}
    assert name in ("speculate", "embed") or any("mlx_lm.server" in key for key in found["ratios"])
    assert name in ("floor", "speculate", "embed") or picture.read_bytes().startswith(b"\x89PNG")
