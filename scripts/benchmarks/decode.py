"""Measure decoding through the supervisor: tokens per second and gaps between texts, at 1 to 64 streams."""

import asyncio
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import openblas
from benchmarks.contenders import MLXD, Contender, contenders
from benchmarks.daemon import make_model
from benchmarks.report import Plot, Report, percentile

STREAMS = (1, 8, 32, 64)
_TOKENS = 128
_SAMPLING: dict[str, Any] = {"temperature": 0.7, "top_p": 0.95}
_PROMPT = "Tell me about the weather in Paris, the quick brown fox and number {}, please."


async def run(
    runs: int = 5,
    *,
    streams: Sequence[int] = STREAMS,
    tokens: int = _TOKENS,
    peers: Mapping[str, Path] | None = None,
) -> Report:
    """Return tokens per second of interleaved rounds; all contenders run side by side and are asked in turn."""
    report = Report("decode, temperature 0.7 and top-p 0.95, through the supervisor")
    report.notes.append(openblas.preload())
    with tempfile.TemporaryDirectory(prefix="mlxd-bench-") as folder:
        model = await make_model(Path(folder) / "tiny")
        async with contenders(model, max(streams), peers or {}) as running:
            for count in streams:
                for contender in running:
                    await _round(contender, count, min(tokens, 16), -1)
                for number in range(runs):
                    for contender in running if number % 2 else reversed(running):
                        await _measure(report, contender, count, tokens, number)
            names = [contender.name for contender in running]
    _ratios(report, streams, names)
    return report


async def _measure(
    report: Report, contender: Contender, count: int, tokens: int, number: int
) -> None:
    cpu, began = contender.cpu_seconds(), time.perf_counter()
    gaps, made = await _round(contender, count, tokens, number)
    seconds = time.perf_counter() - began
    row = f"{contender.name}, {count}"
    report.add(f"ms per token, {row}", seconds / made * 1000)
    report.add(f"cpu ms per token, {row}", (contender.cpu_seconds() - cpu) / made * 1000)
    report.add(f"p99 gap ms, {row}", percentile(gaps, 0.99) * 1000)
    report.add(f"longest gap ms, {row}", max(gaps) * 1000)


async def _round(
    contender: Contender, count: int, tokens: int, number: int
) -> tuple[list[float], int]:
    """Have every stream make so many tokens; return all gaps and the tokens made."""
    done = await asyncio.gather(
        *(_stream(contender, f"{number} {place}", tokens) for place in range(count))
    )
    return [gap for gaps, _ in done for gap in gaps] or [0.0], sum(made for _, made in done)


async def _stream(contender: Contender, label: str, tokens: int) -> tuple[list[float], int]:
    gaps: list[float] = []
    made = 0
    while made < tokens:
        # An answer that the model ended itself is followed by another one: all do the same work.
        found = await contender.ask(_PROMPT.format(label), max_tokens=tokens - made, **_SAMPLING)
        gaps += found.gaps
        made += max(found.tokens, 1)
    return gaps, made


def _ratios(report: Report, streams: Sequence[int], names: Sequence[str]) -> None:
    for count in streams:
        for name in names:
            row = f"ms per token, {name}, {count}"
            report.figures[f"tokens/s, {name}, {count}"] = 1000 / report.median(row)
            report.figures[f"noise (p75-p25)/p50, {name}, {count}"] = (
                percentile(report.samples[row], 0.75) - percentile(report.samples[row], 0.25)
            ) / report.median(row)
        for name in names[1:]:
            mine, theirs = f"{MLXD}, {count}", f"{name}, {count}"
            report.paired(
                f"tokens/s at {count} streams, {MLXD} / {name}",
                f"ms per token, {theirs}", f"ms per token, {mine}",
            )  # fmt: skip
            report.paired(
                f"p99 gap at {count} streams, {MLXD} / {name}",
                f"p99 gap ms, {mine}", f"p99 gap ms, {theirs}",
            )  # fmt: skip
    lines = {
        name: [(float(count), report.figures[f"tokens/s, {name}, {count}"]) for count in streams]
        for name in names
    }
    report.plot = Plot("streams", "tokens/s", lines)
