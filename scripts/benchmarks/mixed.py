"""Measure short requests among long ones: with continuous batching they wait for nobody."""

import asyncio
import random
import tempfile
from collections.abc import Mapping
from pathlib import Path

from benchmarks import openblas
from benchmarks.contenders import MLXD, Contender, contenders
from benchmarks.daemon import make_model
from benchmarks.prompts import Prompts
from benchmarks.report import Plot, Report, percentile

_SHORT = (24, 16)
_LONG = (1024, 32)
"""Tokens of the prompt and of the answer."""
_EVERY_S = 0.25
"""Mean time between two arrivals; the same times for everybody."""
_SIZE = ("--hidden", "128", "--layers", "3")


async def run(
    runs: int = 4,
    *,
    requests: int = 40,
    long: tuple[int, int] = _LONG,
    size: tuple[str, ...] = _SIZE,
    peers: Mapping[str, Path] | None = None,
) -> Report:
    """Return times of interleaved rounds; every fifth request is long."""
    report = Report("short and long requests at the same time")
    report.notes.append(openblas.preload())
    with tempfile.TemporaryDirectory(prefix="mlxd-bench-") as folder:
        model = await make_model(Path(folder) / "model", "qwen3", *size)
        async with contenders(model, 32, peers or {}) as running:
            prompts = await Prompts.measured(running[0])
            for number in range(runs):
                for contender in running if number % 2 else reversed(running):
                    await _measure(report, contender, prompts, requests, long, number)
            names = [contender.name for contender in running]
    for name in names:
        for share, label in ((0.5, "p50"), (0.95, "p95")):
            for what in ("first token, short", "whole answer, short", "whole answer, long"):
                row = report.samples[f"{what}, {name}"]
                report.figures[f"{what}, {label}, {name}"] = percentile(row, share)
    for other in names[1:]:
        for mine in report.samples:
            if mine.endswith(f", {MLXD}"):
                theirs = mine.removesuffix(MLXD) + other
                report.ratios[f"{mine} / {other}"] = report.median(mine) / report.median(theirs)
    report.plot = Plot(
        "share of short requests",
        "seconds to the first token",
        {
            name: [
                (s / 20, percentile(report.samples[f"first token, short, {name}"], s / 20))
                for s in range(20)
            ]
            for name in names
        },
    )
    return report


async def _measure(
    report: Report,
    contender: Contender,
    prompts: Prompts,
    requests: int,
    long: tuple[int, int],
    number: int,
) -> None:
    arrivals, asked = random.Random(number), []
    for place in range(requests):
        kind = "long" if place % 5 == 0 else "short"
        asked.append(asyncio.create_task(_one(report, contender, prompts, kind, long)))
        await asyncio.sleep(arrivals.expovariate(1 / _EVERY_S))
    await asyncio.gather(*asked)


async def _one(
    report: Report, contender: Contender, prompts: Prompts, kind: str, long: tuple[int, int]
) -> None:
    prompt, answer = long if kind == "long" else _SHORT
    found = await contender.ask(prompts.text(prompt), max_tokens=answer, temperature=0)
    report.add(f"first token, {kind}, {contender.name}", found.first)
    report.add(f"whole answer, {kind}, {contender.name}", found.ended - found.began)
