"""Measure what coalescing is worth: 64 texts in as many requests at once, in one request, and by the library alone.

Twice: with a tiny encoder, where all that is measured is what HTTP costs, and with one of the size of all-MiniLM-L6,
with random weights, for speed does not depend on them.
"""

import asyncio
import json
import random
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from benchmarks import openblas
from benchmarks.daemon import daemon, make_model
from benchmarks.light_client import LightClient, light_client
from benchmarks.report import Report

_REAL: dict[str, int] = {
    "hidden_size": 384, "num_hidden_layers": 6, "num_attention_heads": 12, "intermediate_size": 1536,
}  # fmt: skip
SIZES: dict[str, dict[str, int]] = {"tiny": {}, "MiniLM": _REAL}
_WORDS = (
    "heron",
    "oven",
    "river",
    "quick",
    "brown",
    "letter",
    "of",
    "the",
    "and",
    "reads",
    "slowly",
    "rain",
)
_ONE, _MANY, _LIBRARY = "one call", "as many requests", "the library, text by text"


async def run(
    runs: int = 12, *, texts: int = 64, words: int = 12, sizes: Sequence[str] = tuple(SIZES)
) -> Report:
    """Return times of interleaved rounds for each size of model."""
    report = Report(f"{texts} texts at once: requests that share batches")
    report.notes.append(openblas.preload())
    chance = random.Random(0)
    said = [" ".join(chance.choices(_WORDS, k=words)) for _ in range(texts)]
    with tempfile.TemporaryDirectory(prefix="mlxd-bench-") as folder:
        for size in sizes:
            options = [
                word for key, value in SIZES[size].items() for word in ("--set", f"{key}={value}")
            ]
            path = await make_model(Path(folder) / size, "bert", *options)
            await _compare(report, size, path, said, runs)
    return report


async def _compare(report: Report, size: str, path: Path, texts: list[str], runs: int) -> None:
    one, many, loop = (f"{way}, {size}" for way in (_ONE, _MANY, _LIBRARY))
    models = [{"id": "encoder", "source": str(path)}]
    clock = asyncio.get_running_loop().time
    async with _library(path) as library, daemon({"models": models}) as running:
        await _answered(library, texts)
        (await running.client.post("/v1/models/load", json={"model": "encoder"})).raise_for_status()
        url = str(running.client.base_url)
        ways: dict[str, Callable[[LightClient], Awaitable[object]]] = {
            one: lambda client: _ask(client, texts),
            many: lambda client: asyncio.gather(*(_ask(client, text) for text in texts)),
            loop: lambda client: _answered(library, texts),
        }
        for number in range(-1, runs):
            for name in ways if number % 2 else reversed(ways):
                async with light_client(url, len(texts)) as client:
                    began = clock()
                    await ways[name](client)
                    if number >= 0:  # the first round warms up
                        report.add(name, clock() - began)
    report.paired(f"rate of {_MANY} / {_ONE}, {size}", one, many)
    report.paired(f"rate of {_MANY} / {_LIBRARY}, {size}", loop, many)


async def _ask(client: LightClient, texts: str | list[str]) -> bytes:
    return await client.post("/v1/embeddings", {"model": "encoder", "input": texts})


@asynccontextmanager
async def _library(path: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run the loop over the library in a process of its own, as the daemon's worker is one."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", "benchmarks.embed_loop", str(path),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        yield process
    finally:
        assert process.stdin is not None
        process.stdin.close()
        await process.wait()


async def _answered(library: asyncio.subprocess.Process, texts: list[str]) -> None:
    assert library.stdin is not None and library.stdout is not None
    library.stdin.write(json.dumps(texts).encode() + b"\n")
    if int(await library.stdout.readline()) != len(texts):
        raise RuntimeError("the library gave no vectors")
