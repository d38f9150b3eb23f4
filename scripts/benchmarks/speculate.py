"""Measure one row's tokens per second with guesses and without: a draft that agrees, one that does not, repetitions."""

import asyncio
import json
import sys
import tempfile
from pathlib import Path

from benchmarks import openblas
from benchmarks.daemon import make_model
from benchmarks.report import Report

_LARGE = ("--hidden", "256", "--layers", "12")


async def run(runs: int = 7, *, tokens: int = 200, size: tuple[str, ...] = _LARGE) -> Report:
    """Return medians of interleaved answers; every answer is checked to be the one that comes without guesses."""
    report = Report("one row with guesses and without, in the engine's loop", unit="ms per token")
    report.notes += [
        openblas.preload(),
        "the draft that agrees is the first of the model's layers, the others of which add nothing",
        "repeating: greedy, goes round in circles; drawn: temperature 1, hardly ever repeats itself",
    ]
    with tempfile.TemporaryDirectory(prefix="mlxd-bench-") as folder:
        large = await make_model(Path(folder) / "large", "qwen3", *size)
        other = await make_model(
            Path(folder) / "other", "qwen3", *size, "--layers", "1", "--seed", "9"
        )
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-P", "-m", "benchmarks.guessing", str(large), str(other), str(tokens), str(runs),
            stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        said, _ = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"the loops ended with {process.returncode}")
    times, guessed = json.loads(said.splitlines()[-1])
    for name, seconds, cpu in times:
        report.add(name, seconds * 1000)
        report.add(f"cpu, {name}", cpu * 1000)
    for name, (speculated, accepted) in guessed.items():
        how, _, text = name.rpartition(", ")
        report.figures[f"tokens/s, {name}"] = 1000 / report.median(name)
        if how != "plain":
            report.paired(f"tokens/s, {how} / plain, {text}", f"plain, {text}", name)
            report.paired(
                f"tokens/cpu s, {how} / plain, {text}", f"cpu, plain, {text}", f"cpu, {name}"
            )
            report.figures[f"share that came true, {name}"] = accepted / max(speculated, 1)
            report.figures[f"guessed per answer, {name}"] = speculated / (
                len(report.samples[name]) + 1
            )
    return report
