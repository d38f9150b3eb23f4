"""Memory and disk together."""

import gc
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from support import states

from mlxd.workers.prompt_cache.disk_tier import DiskTier
from mlxd.workers.prompt_cache.eviction_order import Kind
from mlxd.workers.prompt_cache.tiers import PromptCache

PLENTY = 1 << 30
FOREVER = 60.0
SIZE = len(range(100)) * (2 * 2 * states.WIDTH * 4 + 4)
"""Bytes of a hundred tokens of two attention layers."""

Make = Callable[[Sequence[int]], list[Any]]


def cache_over(folder: Path, limit: int = PLENTY, disk: int = PLENTY) -> PromptCache:
    return PromptCache(limit, DiskTier(folder / "disk", "model", disk, keep_free=0))


def store(cache: PromptCache, tokens: Sequence[int], make: Make = states.attention) -> bool:
    return cache.store(tokens, make(tokens), Kind.ROW)


def served(cache: PromptCache, prompt: Sequence[int], make: Make = states.attention) -> int:
    """Return how many tokens are served from memory or disk, after making sure that the state is theirs."""
    restore = cache.restore(prompt)
    if restore is not None:
        assert restore.step(FOREVER)
    hit = cache.fetch(prompt)
    if hit is None:
        return 0
    assert states.contents(hit.cache) == states.contents(make(prompt[: hit.length]))
    return hit.length


@pytest.mark.parametrize("make", [states.attention, states.hybrid, states.sliding])
def test_a_conversation_outlives_its_worker(make: Make, tmp_path: Path) -> None:
    first = cache_over(tmp_path)
    store(first, range(100), make)
    assert first.flush(FOREVER, everything=True)
    again = cache_over(tmp_path)
    assert served(again, [*range(100), 1], make) == 100
    stats = again.stats()
    assert (stats.hits, stats.misses, stats.hit_tokens) == (1, 0, 100)
    assert stats.disk is not None and stats.disk.read == 1


def test_what_is_in_memory_is_written_only_when_everything_is_asked_for(tmp_path: Path) -> None:
    cache = cache_over(tmp_path)
    store(cache, range(100))
    assert cache.flush(FOREVER)
    assert served(cache_over(tmp_path), [*range(100), 1]) == 0
    assert cache.flush(FOREVER, everything=True)
    assert served(cache_over(tmp_path), [*range(100), 1]) == 100


def test_what_was_evicted_is_written_and_comes_back(tmp_path: Path) -> None:
    cache = cache_over(tmp_path, limit=3 * SIZE)
    for start in range(0, 5000, 1000):
        store(cache, range(start, start + 100))
        assert cache.nbytes <= 3 * SIZE
        assert cache.flush(FOREVER)
    for start in range(0, 5000, 1000):
        assert served(cache, [*range(start, start + 100), 1]) == 100
        assert cache.nbytes <= 3 * SIZE
    assert cache.stats().dropped == 0


def test_what_will_soon_be_evicted_is_written_before(tmp_path: Path) -> None:
    cache = cache_over(tmp_path, limit=3 * SIZE)
    store(cache, range(100))
    store(cache, range(1000, 1100))
    assert cache.flush(FOREVER)
    other = cache_over(tmp_path)
    assert served(other, [*range(100), 1]) == 100
    assert served(other, [*range(1000, 1100), 1]) == 0


def test_states_larger_than_a_share_come_and_go_without_loss(tmp_path: Path) -> None:
    """Two conversations of which only one fits, and an engine that writes a little at each step."""
    cache = cache_over(tmp_path, limit=2 * SIZE)
    for start in (0, 1000):
        store(cache, range(start, start + 100))
        assert cache.flush(FOREVER)
    for start in (0, 1000, 0, 1000):
        assert served(cache, [*range(start, start + 100), 1]) == 100
        assert cache.nbytes <= 2 * SIZE
    assert cache.stats().dropped == 0


def test_what_cannot_be_written_in_time_is_dropped_rather_than_held(tmp_path: Path) -> None:
    cache = cache_over(tmp_path, limit=3 * SIZE)
    for start in range(0, 9000, 1000):
        store(cache, range(start, start + 100))
        assert cache.nbytes <= 3 * SIZE
    assert cache.stats().dropped > 0
    assert served(cache, [*range(8000, 8100), 1]) == 100


def test_without_a_disk_evicted_states_are_gone() -> None:
    cache = PromptCache(2 * SIZE)
    for start in range(0, 3000, 1000):
        store(cache, range(start, start + 100))
    assert cache.flush(0, everything=True)
    assert served(cache, [*range(100), 1]) == 0
    assert served(cache, [*range(2000, 2100), 1]) == 100
    assert cache.stats().disk is None and cache.stats().evicted == 1


def test_a_flush_goes_on_where_the_last_one_stopped(tmp_path: Path) -> None:
    cache = cache_over(tmp_path)
    store(cache, range(100))
    calls = 1
    while not cache.flush(0, everything=True):
        calls += 1
    assert calls > 3
    assert served(cache_over(tmp_path), [*range(100), 1]) == 100


def test_a_restore_goes_on_where_its_last_step_stopped(tmp_path: Path) -> None:
    cache = cache_over(tmp_path)
    store(cache, range(100))
    cache.flush(FOREVER, everything=True)
    again = cache_over(tmp_path)
    restore = again.restore([*range(100), 1])
    assert restore is not None and not restore.step(0)
    assert again.fetch([*range(100), 1]) is None
    while not restore.step(0):
        assert not restore.done
    hit = again.fetch([*range(100), 1])
    assert restore.done and hit is not None and hit.length == 100


def test_prompts_that_wait_for_the_same_state_read_it_once(tmp_path: Path) -> None:
    cache = cache_over(tmp_path)
    store(cache, range(100))
    cache.flush(FOREVER, everything=True)
    again = cache_over(tmp_path)
    one, other = again.restore([*range(100), 1]), again.restore([*range(100), 2])
    assert one is not None and one is other
    assert one.step(FOREVER) and one.step(FOREVER)
    stats = again.stats()
    assert stats.disk is not None and stats.disk.read == 1
    assert again.restore([*range(100), 3]) is None


def test_a_restore_that_nobody_waits_for_any_more_costs_nothing(tmp_path: Path) -> None:
    cache = cache_over(tmp_path)
    store(cache, range(100))
    cache.flush(FOREVER, everything=True)
    again = cache_over(tmp_path)
    restore = again.restore([*range(100), 1])
    assert restore is not None and not restore.step(0)
    assert again.nbytes >= SIZE
    del restore
    gc.collect()
    assert again.nbytes == 0


def test_a_state_restored_again_after_it_was_evicted_is_read_again(tmp_path: Path) -> None:
    cache = cache_over(tmp_path, limit=2 * SIZE)
    store(cache, range(100))
    cache.flush(FOREVER, everything=True)
    again = cache_over(tmp_path, limit=2 * SIZE)
    first = again.restore([*range(100), 1])
    assert first is not None and first.step(FOREVER)
    store(again, range(1000, 1100))
    assert served(again, [*range(100), 1]) == 100


def test_a_long_file_is_not_read_for_a_few_tokens(tmp_path: Path) -> None:
    cache = cache_over(tmp_path)
    store(cache, range(400))
    cache.flush(FOREVER, everything=True)
    again = cache_over(tmp_path)
    assert again.restore([*range(20), 999]) is None
    assert again.restore([*range(30), 999]) is not None


def test_memory_goes_before_a_file_that_serves_no_more(tmp_path: Path) -> None:
    cache = cache_over(tmp_path)
    store(cache, range(100))
    cache.flush(FOREVER, everything=True)
    assert cache.restore([*range(100), 1]) is None
    assert cache.restore([*range(50), 999]) is None


def test_a_damaged_file_is_a_miss_and_memory_still_serves_what_it_can(tmp_path: Path) -> None:
    cache = cache_over(tmp_path)
    store(cache, range(100), states.hybrid)
    cache.flush(FOREVER, everything=True)
    (path,) = (tmp_path / "disk").glob("*.safetensors")
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    again = cache_over(tmp_path)
    store(again, range(50), states.hybrid)
    assert served(again, [*range(100), 1], states.hybrid) == 50
    stats = again.stats()
    assert stats.disk is not None and stats.disk.quarantined == 1


def test_a_state_of_other_tokens_is_refused_and_counted() -> None:
    cache = PromptCache(PLENTY)
    assert not cache.store([1, 2, 3], states.attention([1, 2]), Kind.ROW)
    assert cache.stats().refused == 1 and cache.stats().stored == 0


def test_a_store_while_memory_is_being_written_leaves_a_whole_file(tmp_path: Path) -> None:
    cache = cache_over(tmp_path, limit=3 * SIZE)
    store(cache, range(100))
    assert not cache.flush(0, everything=True)
    store(cache, range(1000, 1100))
    assert cache.flush(FOREVER, everything=True)
    again = cache_over(tmp_path)
    assert served(again, [*range(100), 1]) == 100
    assert served(again, [*range(1000, 1100), 1]) == 100
