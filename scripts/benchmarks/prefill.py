"""Measure what a stream feels while a long prompt joins, and what the long prompt feels of the stream."""

import asyncio
import tempfile
from collections.abc import Mapping
from pathlib import Path

from benchmarks import openblas
from benchmarks.contenders import MLXD, Contender, contenders
from benchmarks.daemon import make_model
from benchmarks.prompts import Prompts
from benchmarks.report import Plot, Report
from benchmarks.stream import Stream

_ANSWER = 2000
"""Tokens the running stream may make while the other joins; it is left when that has begun."""
_TRIES = 50
"""Answers that may be over too soon: a model of random weights may end one at any token."""
_SIZE = ("--hidden", "128", "--layers", "3")


async def run(
    runs: int = 5,
    *,
    tokens: int = 4096,
    size: tuple[str, ...] = _SIZE,
    peers: Mapping[str, Path] | None = None,
) -> Report:
    """Return gaps and times to the first token of interleaved rounds."""
    report = Report(f"a prompt of {tokens} tokens joins a running stream")
    report.notes.append(openblas.preload())
    with tempfile.TemporaryDirectory(prefix="mlxd-bench-") as folder:
        model = await make_model(Path(folder) / "model", "qwen3", *size)
        async with contenders(model, 32, peers or {}) as running:
            prompts = await Prompts.measured(running[0])
            for number in range(-1, runs):
                for contender in running if number % 2 else reversed(running):
                    await _measure(
                        report if number >= 0 else Report(""), contender, prompts, tokens
                    )
            names = [contender.name for contender in running]
    for name in names:
        report.paired(f"first token, joining / alone, {name}", f"joins, {name}", f"alone, {name}")
    for name in names[1:]:
        for what in ("longest gap", "median gap", "joins"):
            report.paired(f"{what}, {MLXD} / {name}", f"{what}, {MLXD}", f"{what}, {name}")
    report.plot = Plot(
        "round",
        "longest gap, seconds",
        {
            n: [(float(i), g) for i, g in enumerate(report.samples[f"longest gap, {n}"])]
            for n in names
        },
    )
    return report


async def _measure(report: Report, contender: Contender, prompts: Prompts, tokens: int) -> None:
    alone = await contender.ask(prompts.text(tokens), max_tokens=4)
    steady, joined = await _joined(contender, prompts, tokens)
    first = joined.began + joined.first
    seen = [at for at in steady.arrivals if at <= first]
    beside = [b - a for a, b in zip(seen, [*seen[1:], first], strict=True) if b >= joined.began]
    report.add(f"alone, {contender.name}", alone.first)
    report.add(f"joins, {contender.name}", joined.first)
    report.add(f"longest gap, {contender.name}", max(beside))
    report.add(f"median gap, {contender.name}", sorted(beside)[len(beside) // 2])


async def _joined(contender: Contender, prompts: Prompts, tokens: int) -> tuple[Stream, Stream]:
    """Return a running stream and the long prompt that joined it; one that ends too soon is begun again."""
    for _ in range(_TRIES):
        live, steady = asyncio.Event(), Stream(0.0)
        watched = asyncio.create_task(
            contender.ask(
                "Count the foxes of Paris.", live, into=steady, max_tokens=_ANSWER, temperature=0.7
            )
        )
        runs = asyncio.create_task(live.wait())
        try:
            await asyncio.wait((watched, runs), return_when=asyncio.FIRST_COMPLETED)
            if not watched.done():
                joined = await contender.ask(prompts.text(tokens), max_tokens=4)
                if not watched.done():
                    return steady, joined
            watched.result()
        finally:
            for task in (watched, runs):
                task.cancel()
            await asyncio.gather(watched, runs, return_exceptions=True)
    raise RuntimeError(f"{contender.name} ended {_TRIES} answers before another could join them")
