"""Measure what a conversation costs turn by turn, and after its worker was unloaded, with and without the disk tier."""

import tempfile
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from benchmarks import openblas
from benchmarks.contenders import MLXD, Contender, mlx_lm_server, mlxd
from benchmarks.daemon import make_model
from benchmarks.prompts import Prompts
from benchmarks.report import Plot, Report

TURNS = 5
_REPLY = 48
_NEWS = 100
_SIZE = ("--hidden", "128", "--layers", "3")
_DISK, _MEMORY = f"{MLXD}, disk", f"{MLXD}, memory only"
Talk = list[dict[str, str]]


async def run(
    runs: int = 4,
    *,
    tokens: int = 4096,
    size: tuple[str, ...] = _SIZE,
    peers: Mapping[str, Path] | None = None,
) -> Report:
    """Return times to the first token of interleaved rounds."""
    report = Report(f"a conversation of {tokens} tokens, seconds to the first token")
    report.notes.append(openblas.preload())
    if peers:
        report.notes.append("other servers are not asked here: they cannot unload")
    with tempfile.TemporaryDirectory(prefix="mlxd-bench-") as folder:
        model = await make_model(Path(folder) / "model", "qwen3", *size)
        async with AsyncExitStack() as stack:
            kept: dict[str, Any] = {"memory": "512MB", "disk": "4GB"}
            running = {
                _DISK: await stack.enter_async_context(mlxd(model, prompt_cache=kept)),
                _MEMORY: await stack.enter_async_context(
                    mlxd(model, prompt_cache=kept | {"disk": 0})
                ),
                "mlx_lm.server": await stack.enter_async_context(mlx_lm_server(model)),
            }
            prompts = await Prompts.measured(running[_DISK])
            for number in range(-1, runs):
                into = report if number >= 0 else Report("")
                for name, contender in running.items():
                    await _turns(into, name, contender, prompts, tokens)
                for name in (_DISK, _MEMORY):
                    await _return(into, name, running[name], prompts, tokens)
    _conclude(report, list(running))
    return report


async def _turns(
    report: Report, name: str, contender: Contender, prompts: Prompts, tokens: int
) -> None:
    """Let a conversation grow: a long beginning, as agents send it, then short turns."""
    talk: Talk = [{"role": "system", "content": prompts.text(tokens - TURNS * (_NEWS + _REPLY))}]
    for turn in range(1, TURNS + 1):
        talk.append({"role": "user", "content": prompts.text(_NEWS)})
        found = await contender.ask(talk, max_tokens=_REPLY, temperature=0)
        talk.append({"role": "assistant", "content": found.text})
        report.add(f"turn {turn}, {name}", found.first)
        if turn == TURNS:
            report.shares.setdefault(f"share reused in turn {turn}, {name}", []).append(
                found.cached / max(found.prompt, 1)
            )


async def _return(
    report: Report, name: str, contender: Contender, prompts: Prompts, tokens: int
) -> None:
    """Hold a conversation, unload the model, load it again and go on."""
    assert contender.running is not None
    talk: Talk = [{"role": "user", "content": prompts.text(tokens)}]
    cold = await contender.ask(talk, max_tokens=4, temperature=0)
    talk += [{"role": "assistant", "content": cold.text}, {"role": "user", "content": "Go on."}]
    await contender.running.unload(contender.model)
    await contender.ask("Hello", max_tokens=4)
    back = await contender.ask(talk, max_tokens=4, temperature=0)
    report.add(f"cold, {name}", cold.first)
    report.add(f"after unload and load, {name}", back.first)


def _conclude(report: Report, names: list[str]) -> None:
    for what, shares in report.shares.items():
        report.figures[what] = sorted(shares)[len(shares) // 2]
    for name in (_DISK, _MEMORY):
        report.paired(
            f"after unload and load / cold, {name}",
            f"after unload and load, {name}", f"cold, {name}",
        )  # fmt: skip
    for name in names:
        report.paired(f"turn {TURNS} / turn 1, {name}", f"turn {TURNS}, {name}", f"turn 1, {name}")
    report.plot = Plot(
        "turn",
        "seconds to the first token",
        {
            name: [(float(t), report.median(f"turn {t}, {name}")) for t in range(1, TURNS + 1)]
            for name in names
        },
    )
