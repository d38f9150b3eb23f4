"""Random requests against the memory tier: never over the limit, never another prompt's state."""

import gc
import random
from collections.abc import Callable, Sequence
from typing import Any

import mlx.core as mx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import states

from mlxd.workers.prompt_cache.eviction_order import Kind
from mlxd.workers.prompt_cache.memory_tier import MemoryTier
from mlxd.workers.prompt_cache.packing import pack
from mlxd.workers.prompt_cache.snapshot import Snapshot

Make = Callable[[Sequence[int]], list[Any]]
LIMIT = 60_000
every_kind = pytest.mark.parametrize(
    "make", [states.attention, states.hybrid, states.sliding, states.recurrent]
)


def request(tier: MemoryTier, make: Make, prompt: list[int], reply: list[int]) -> int:
    """Do what the engine does for one request; return how many tokens were cached."""
    hit = tier.fetch(pack(prompt))
    cache = hit.cache if hit else make([])
    length = hit.length if hit else 0
    assert length < len(prompt)
    assert states.contents(cache) == states.contents(make(prompt[:length]))
    states.feed(cache, prompt[length:-1])
    keep(tier, prompt[:-1], cache, Kind.PREFILL)
    states.feed(cache, [prompt[-1], *reply])
    keep(tier, prompt + reply, cache, Kind.ROW)
    return length


def keep(tier: MemoryTier, tokens: list[int], cache: list[Any], kind: Kind) -> None:
    state = Snapshot.take(pack(tokens), cache, kind)
    assert state is None or tier.store(state, system=min(10, len(tokens))) or tier.limit < 20_000
    assert tier.nbytes <= tier.limit


@every_kind
def test_b10_bytes_never_exceed_the_limit_during_500_random_requests(make: Make) -> None:
    rng, tier = random.Random(make.__name__), MemoryTier(LIMIT)
    gc.collect()
    base = mx.get_active_memory()
    conversations = [[rng.randrange(50) for _ in range(20)] for _ in range(6)]
    cached = 0
    for _ in range(500):
        at = rng.randrange(len(conversations))
        prompt = conversations[at] + [rng.randrange(50) for _ in range(rng.randrange(1, 20))]
        reply = [rng.randrange(50) for _ in range(rng.randrange(1, 10))]
        cached += request(tier, make, prompt, reply)
        grown = prompt + reply
        conversations[at] = grown if len(grown) < 250 else grown[: rng.randrange(20, 200)]
    assert tier.evicted > 50
    assert cached > 500
    gc.collect()
    mx.synchronize()
    # The count is not a fiction: the arrays really take about that much.
    assert mx.get_active_memory() - base <= LIMIT * 1.1


@every_kind
@settings(max_examples=30)
@given(data=st.data())
def test_any_mix_of_branches_is_served_its_own_state(make: Make, data: st.DataObject) -> None:
    limit = data.draw(st.sampled_from([3_000, 9_000, 1 << 30]))
    tier = MemoryTier(limit)
    known: list[list[int]] = [[]]
    for _ in range(data.draw(st.integers(1, 8))):
        stem = data.draw(st.sampled_from(known))
        stem = stem[: data.draw(st.integers(0, len(stem)))]
        prompt = stem + data.draw(st.lists(st.integers(0, 2), min_size=1, max_size=25))
        reply = data.draw(st.lists(st.integers(0, 2), min_size=1, max_size=3))
        request(tier, make, prompt, reply)
        known.append(prompt + reply)
