"""Real models of every architecture reply with a cached prefix exactly as they do without."""

import functools
import random
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from support import greedy, source, tiny_models

from mlxd.workers.prompt_cache import caches
from mlxd.workers.prompt_cache.checkpoints import plan
from mlxd.workers.prompt_cache.disk_tier import DiskTier
from mlxd.workers.prompt_cache.eviction_order import Kind
from mlxd.workers.prompt_cache.fingerprint import fingerprint
from mlxd.workers.prompt_cache.tiers import PromptCache

PLENTY = 1 << 30
FOREVER = 60.0
COUNT = 8

Cold = Callable[[Sequence[int]], list[int]]


@pytest.fixture(
    scope="module",
    params=[
        "qwen3",
        pytest.param("llama", marks=pytest.mark.slow),  # keeps what qwen3 keeps
        "gemma3",
        "gpt_oss",
        "qwen3_next",
        "falcon_h1",
        pytest.param("lfm2", marks=pytest.mark.slow),  # keeps what qwen3_next keeps
        "mamba2",
    ],
)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def model(kind: str) -> Any:
    return greedy.load(tiny_models.folder(kind))


@pytest.fixture(scope="module")
def cold(model: Any) -> Cold:
    """Give the replies without any cache, each computed once."""

    @functools.cache
    def reply(prompt: tuple[int, ...]) -> list[int]:
        return greedy.reply(model, prompt, COUNT)

    return lambda prompt: reply(tuple(prompt))


def words(count: int, seed: int) -> list[int]:
    rng = random.Random(seed)
    return [rng.randrange(300, 1500) for _ in range(count)]


def serve(
    model: Any, cache: PromptCache, prompt: Sequence[int], *, system: int = 0, count: int = COUNT
) -> tuple[list[int], int]:
    """Reply as a serial engine would, keeping the state on the way; return how many tokens were cached."""
    hit = cache.fetch(prompt)
    state, at = (hit.cache, hit.length) if hit else (greedy.empty_cache(model), 0)
    trimmable = len(prompt) <= caches.trim_limit(greedy.empty_cache(model))
    cached = at
    for stop in plan(len(prompt), system=system, cached=at, trimmable=trimmable):
        greedy.prefill(model, state, prompt[at : stop.position])
        at = stop.position
        assert cache.store(prompt[:at], state, stop.kind, system=system)
    greedy.prefill(model, state, prompt[at:-1])
    reply = greedy.greedy(model, state, prompt[-1], count)
    assert cache.store([*prompt, *reply[:-1]], state, Kind.ROW, system=system)
    return reply, cached


def prompts_around(prompt: list[int], reply: list[int]) -> Iterator[tuple[str, list[int]]]:
    """Yield prompts that share all, most or little of what is known."""
    yield "the same prompt", prompt
    yield "the next turn", [*prompt, *reply, *words(9, 5)]
    yield "exactly what is kept", [*prompt, *reply[:-1]]
    yield "one token more than what is kept", [*prompt, *reply]
    yield "another turn after the system prompt", [*prompt[:40], *words(30, 6)]
    yield "the system prompt and one token", prompt[:41]
    yield "the system prompt itself", prompt[:40]
    for at in (9, 63, 65, 100):
        yield f"another turn after {at} tokens", [*prompt[:at], *words(20, at)]


def test_f4_a_reply_with_a_cached_prefix_is_the_reply_without(
    kind: str, model: Any, cold: Cold
) -> None:
    cache = PromptCache(PLENTY)
    prompt = words(150, 1)
    reply, cached = serve(model, cache, prompt, system=40)
    assert cached == 0 and reply == cold(prompt)
    hits: dict[str, int] = {}
    for name, other in prompts_around(prompt, reply):
        expected = cold(other)
        # Twice: the second time what the first one kept is there as well.
        for _ in range(2):
            got, cached = serve(model, cache, other, system=40)
            assert got == expected, name
            hits.setdefault(name, cached)
    assert hits["the same prompt"] == len(prompt) - 1
    assert hits["the next turn"] == len(prompt) + COUNT - 1
    assert hits["another turn after the system prompt"] >= 40
    if kind in ("qwen3", "llama"):
        assert hits["another turn after 100 tokens"] == 100


def test_f4_rows_of_one_batch_with_and_without_a_cached_prefix_reply_alike(
    kind: str, model: Any, cold: Cold
) -> None:
    cache = PromptCache(PLENTY)
    prompt = words(150, 1)
    first = greedy.Batch(model)
    row = first.add(prompt, COUNT, None, 0)
    reply, state, tokens = first.run()[row]
    assert reply == cold(prompt)
    assert tokens == [*prompt, *reply]
    assert cache.store(tokens, state, Kind.ROW)
    batch = greedy.Batch(model)
    expected = {}
    for name, other in prompts_around(prompt, reply):
        hit = cache.fetch(other)
        row = batch.add(other, COUNT, hit.cache if hit else None, hit.length if hit else 0)
        expected[row] = (name, cold(other))
    for row, (got, state, tokens) in batch.run().items():
        assert got == expected[row][1], expected[row][0]
        assert cache.store(tokens, state, Kind.ROW)
    for name, other in prompts_around(prompt, reply):
        assert serve(model, cache, other)[0] == cold(other), name


def test_f5_an_abandoned_prefill_stays_usable(kind: str, model: Any, cold: Cold) -> None:
    cache = PromptCache(PLENTY)
    prompt = words(400, 3)
    batch = greedy.Batch(model)
    batch.add(words(90, 4), 40, None, 0)
    row = batch.add(prompt, COUNT, None, 0)
    state, tokens = batch.leave(row, 8)
    assert tokens == prompt[: len(tokens)] and len(tokens) >= 200
    assert cache.store(tokens, state, Kind.PREFILL)
    reply, cached = serve(model, cache, prompt)
    assert reply == cold(prompt)
    assert cached >= 0.9 * len(tokens)


RESTORE = """
import sys
from pathlib import Path
from support import greedy
from mlxd.workers.prompt_cache.disk_tier import DiskTier
from mlxd.workers.prompt_cache.fingerprint import fingerprint
from mlxd.workers.prompt_cache.tiers import PromptCache

folder, disk, *numbers = sys.argv[1:]
prompt = [int(number) for number in numbers]
model = greedy.load(Path(folder))
cache = PromptCache(1 << 30, DiskTier(Path(disk), fingerprint(Path(folder)), 1 << 30, keep_free=0))
restore = cache.restore(prompt)
assert restore is not None and restore.step(60)
hit = cache.fetch(prompt)
assert hit is not None
greedy.prefill(model, hit.cache, prompt[hit.length:-1])
print(hit.length, *greedy.greedy(model, hit.cache, prompt[-1], 8))
"""


def test_f4_a_state_from_disk_replies_alike_in_a_fresh_process(
    kind: str, model: Any, cold: Cold, tmp_path: Path
) -> None:
    disk = DiskTier(tmp_path, fingerprint(tiny_models.folder(kind)), PLENTY, keep_free=0)
    cache = PromptCache(PLENTY, disk)
    prompt = words(150, 7)
    reply, _ = serve(model, cache, prompt)
    assert cache.flush(FOREVER, everything=True)
    following = [*prompt, *reply, *words(10, 8)]
    command = [sys.executable, "-P", "-c", RESTORE, str(tiny_models.folder(kind)), str(tmp_path)]
    done = subprocess.run(
        [*command, *map(str, following)],
        capture_output=True,
        text=True,
        timeout=100,
        env={"PYTHONPATH": str(source.ROOT / "tests")},
    )
    assert done.returncode == 0, done.stderr
    length, *got = map(int, done.stdout.split())
    assert length == len(prompt) + COUNT - 1
    assert got == cold(following)


def test_damage_on_disk_never_changes_a_reply(
    kind: str, model: Any, cold: Cold, tmp_path: Path
) -> None:
    prompt = words(120, 9)
    expected = cold(prompt)
    rng = random.Random(kind)
    for number in range(5):
        folder = tmp_path / str(number)
        cache = PromptCache(PLENTY, DiskTier(folder, "model", PLENTY, keep_free=0))
        serve(model, cache, prompt)
        assert cache.flush(FOREVER, everything=True)
        for path in folder.glob("*.safetensors"):
            content = bytearray(path.read_bytes())
            content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
            path.write_bytes(content)
        again = PromptCache(PLENTY, DiskTier(folder, "model", PLENTY, keep_free=0))
        restore = again.restore(prompt)
        assert restore is None or restore.step(FOREVER)
        reply, cached = serve(model, again, prompt)
        assert (reply, cached) == (expected, 0)
        stats = again.stats().disk
        assert stats is not None and stats.quarantined >= 1


class Chat:
    """A conversation whose template opens each reply with a thought and leaves old thoughts out."""

    SYSTEM, OPENING, THOUGHT, CLOSING = [[10, *words(160, 20), 11], [12, 13, 14], [15], [16]]

    def __init__(self) -> None:
        self.messages = [self.SYSTEM]

    def prompt(self) -> tuple[list[int], list[int]]:
        """Return the tokens, and where each message ends."""
        tokens: list[int] = []
        ends = []
        for message in self.messages:
            tokens += message
            ends.append(len(tokens))
        return [*tokens, *self.OPENING, *self.THOUGHT], ends

    def ask(self, words: list[int]) -> None:
        self.messages.append([17, *words, 11])

    def answer(self, reply: list[int]) -> None:
        """Keep the reply without its thought, as the template does from the next turn on."""
        self.messages.append([*self.OPENING, *reply[len(reply) // 2 :], 11])


def test_f1_a_growing_chat_is_cached_from_its_third_turn_on(model: Any, cold: Cold) -> None:
    cache, chat = PromptCache(PLENTY), Chat()
    for turn in range(1, 11):
        chat.ask(words(25, 100 + turn))
        prompt, ends = chat.prompt()
        reply, cached = turn_of(model, cache, prompt, ends)
        assert reply == cold(prompt)
        if turn >= 3:
            assert cached / len(prompt) >= 0.8, f"turn {turn}"
        chat.answer(reply)


def turn_of(
    model: Any, cache: PromptCache, prompt: list[int], ends: list[int]
) -> tuple[list[int], int]:
    hit = cache.fetch(prompt)
    state, at = (hit.cache, hit.length) if hit else (greedy.empty_cache(model), 0)
    cached = at
    trimmable = len(prompt) <= caches.trim_limit(greedy.empty_cache(model))
    stops = plan(len(prompt), ends=ends, system=ends[0], cached=at, trimmable=trimmable)
    for stop in stops:
        greedy.prefill(model, state, prompt[at : stop.position])
        at = stop.position
        assert cache.store(prompt[:at], state, stop.kind, system=ends[0])
    greedy.prefill(model, state, prompt[at:-1])
    reply = greedy.greedy(model, state, prompt[-1], COUNT)
    cache.store([*prompt, *reply[:-1]], state, Kind.ROW, system=ends[0])
    return reply, cached
