"""Random requests, crashes and damage: both limits hold, and no state is ever another prompt's."""

import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from support import states

from mlxd.workers.prompt_cache.disk_tier import DiskTier
from mlxd.workers.prompt_cache.eviction_order import Kind
from mlxd.workers.prompt_cache.tiers import PromptCache

Make = Callable[[Sequence[int]], list[Any]]
MEMORY, DISK = 40_000, 150_000


class Worker:
    """Serve requests as the engine does, and be killed now and then."""

    def __init__(self, folder: Path, make: Make, rng: random.Random) -> None:
        self.folder, self.make, self.rng = folder / "disk", make, rng
        self.cached = 0
        self.quarantined = 0
        self.start()

    def start(self) -> None:
        self.cache = PromptCache(MEMORY, DiskTier(self.folder, "model", DISK, keep_free=0))

    def check(self) -> None:
        assert self.cache.nbytes <= MEMORY
        sizes = [path.stat().st_size for path in self.folder.rglob("*") if path.is_file()]
        assert sum(sizes) <= DISK

    def request(self, prompt: list[int], reply: list[int]) -> None:
        restore = self.cache.restore(prompt)
        while restore is not None and not restore.step(0):
            self.check()
        hit = self.cache.fetch(prompt)
        length = hit.length if hit else 0
        state = hit.cache if hit else self.make([])
        assert length < len(prompt)
        assert states.contents(state) == states.contents(self.make(prompt[:length]))
        self.cached += length
        states.feed(state, prompt[length:-1])
        self.keep(prompt[:-1], state, Kind.PREFILL)
        states.feed(state, [prompt[-1], *reply])
        self.keep(prompt + reply, state, Kind.ROW)

    def keep(self, tokens: list[int], state: list[Any], kind: Kind) -> None:
        if tokens:
            self.cache.store(tokens, state, kind, system=min(10, len(tokens)))
        self.check()
        for _ in range(self.rng.randrange(6)):
            self.cache.flush(0, everything=self.rng.random() < 0.2)
            self.check()

    def be_killed(self) -> None:
        stats = self.cache.stats().disk
        self.quarantined += stats.quarantined if stats is not None else 0
        self.start()

    def suffer_damage(self) -> None:
        files = sorted(self.folder.glob("*.safetensors"))
        if files:
            path = self.rng.choice(files)
            content = bytearray(path.read_bytes())
            content[self.rng.randrange(len(content))] ^= 1 << self.rng.randrange(8)
            path.write_bytes(content if self.rng.random() < 0.7 else content[:-9])


@pytest.mark.parametrize(
    "make",
    [states.attention, states.hybrid, pytest.param(states.sliding, marks=pytest.mark.slow)],
)
def test_b10_neither_limit_is_exceeded_during_500_random_requests(
    make: Make, tmp_path: Path
) -> None:
    rng = random.Random(make.__name__)
    worker = Worker(tmp_path, make, rng)
    conversations = [[rng.randrange(50) for _ in range(20)] for _ in range(8)]
    for number in range(500):
        at = rng.randrange(len(conversations))
        prompt = conversations[at] + [rng.randrange(50) for _ in range(rng.randrange(1, 20))]
        reply = [rng.randrange(50) for _ in range(rng.randrange(1, 10))]
        worker.request(prompt, reply)
        grown = prompt + reply
        conversations[at] = grown if len(grown) < 200 else grown[: rng.randrange(20, 200)]
        if number % 25 == 24:
            worker.be_killed()
        if number % 20 == 19:
            worker.suffer_damage()
    assert worker.cached > 5_000
    assert worker.quarantined > 3
