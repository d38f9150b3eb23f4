"""States in memory."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from support import states

from mlxd.workers.prompt_cache.eviction_order import Kind
from mlxd.workers.prompt_cache.memory_tier import Hit, MemoryTier
from mlxd.workers.prompt_cache.packing import pack
from mlxd.workers.prompt_cache.snapshot import Snapshot

SYSTEM = list(range(100, 120))
PLENTY = 1 << 30

Make = Callable[[Sequence[int]], list[Any]]
every_kind = pytest.mark.parametrize(
    "make", [states.attention, states.hybrid, states.sliding, states.recurrent]
)
exact_only = pytest.mark.parametrize("make", [states.hybrid, states.recurrent])


def store(
    tier: MemoryTier, make: Make, tokens: list[int], kind: Kind = Kind.ROW, *, system: int = 0
) -> bool:
    state = Snapshot.take(pack(tokens), make(tokens), kind)
    assert state is not None
    return tier.store(state, system=system)


def fetch(tier: MemoryTier, prompt: list[int]) -> Hit | None:
    return tier.fetch(pack(prompt))


def served(tier: MemoryTier, make: Make, prompt: list[int]) -> int:
    """Return how many tokens are served, after making sure that the state is theirs."""
    hit = fetch(tier, prompt)
    if hit is None:
        return 0
    assert states.contents(hit.cache) == states.contents(make(prompt[: hit.length]))
    return hit.length


@every_kind
def test_a_prompt_that_goes_on_is_served_all_that_is_known(make: Make) -> None:
    tier = MemoryTier(PLENTY)
    known = list(range(30))
    store(tier, make, known)
    assert served(tier, make, [*known, 5, 6]) == 30


def test_the_same_prompt_again_leaves_its_last_token_to_be_fed() -> None:
    tier = MemoryTier(PLENTY)
    known = list(range(30))
    store(tier, states.attention, known)
    assert served(tier, states.attention, known) == 29


@exact_only
def test_the_same_prompt_again_gets_the_longest_exact_prefix(make: Make) -> None:
    tier = MemoryTier(PLENTY)
    known = list(range(30))
    store(tier, make, known[:20], Kind.MESSAGE)
    store(tier, make, known)
    assert served(tier, make, known) == 20


def test_a_trimmable_state_serves_every_length() -> None:
    tier = MemoryTier(PLENTY)
    known = list(range(40))
    store(tier, states.attention, known)
    for length in range(8, 41):
        assert served(tier, states.attention, [*known[:length], 999]) == length


def test_too_few_tokens_are_not_worth_a_fetch() -> None:
    tier = MemoryTier(PLENTY)
    store(tier, states.attention, list(range(30)))
    assert fetch(tier, [0, 1, 2, 3, 999]) is None
    assert tier.match(pack([0, 1, 2, 3, 999])) == 0


@every_kind
def test_what_a_caller_does_to_a_fetched_cache_changes_nothing_kept(make: Make) -> None:
    tier = MemoryTier(PLENTY)
    known = list(range(30))
    store(tier, make, known)
    for _ in range(2):
        hit = fetch(tier, [*known, 1])
        assert hit is not None
        states.feed(hit.cache, [1, 2, 3])
        assert states.contents(hit.cache) == states.contents(make([*known, 1, 2, 3]))
    assert served(tier, make, [*known, 1]) == 30


@every_kind
def test_what_a_caller_does_to_a_stored_cache_changes_nothing_kept(make: Make) -> None:
    tier = MemoryTier(PLENTY)
    known = list(range(30))
    cache = make(known)
    state = Snapshot.take(pack(known), cache, Kind.PREFILL)
    assert state is not None and tier.store(state)
    states.feed(cache, list(range(300)))
    assert served(tier, make, [*known, 1]) == 30


def test_a_longer_trimmable_state_replaces_its_prefixes() -> None:
    tier = MemoryTier(PLENTY)
    known = list(range(40))
    store(tier, states.attention, known[:20])
    store(tier, states.attention, known)
    assert len(tier) == 1


def test_a_shorter_trimmable_state_is_not_kept_twice() -> None:
    tier = MemoryTier(PLENTY)
    known = list(range(40))
    store(tier, states.attention, known)
    before = tier.nbytes
    assert store(tier, states.attention, known[:20])
    assert (len(tier), tier.nbytes) == (1, before)


def test_checkpoints_of_one_conversation_share_their_attention_states() -> None:
    tier = MemoryTier(PLENTY)
    known = list(range(200))
    store(tier, states.hybrid, known)
    alone = tier.nbytes
    more = MemoryTier(PLENTY)
    for length in range(20, 201, 20):
        store(more, states.hybrid, known[:length], Kind.MESSAGE)
        assert served(more, states.hybrid, [*known[:length], 999]) == length
    assert len(more) == 10
    assert more.nbytes < alone * 2


def test_a_state_stays_right_when_the_longer_one_it_shared_with_goes() -> None:
    tier = MemoryTier(PLENTY)
    known = list(range(200))
    for length in (40, 80, 200):
        store(tier, states.hybrid, known[:length], Kind.MESSAGE)
    before = tier.nbytes
    tier.shrink(0)
    assert tier.nbytes == 0
    for length in (40, 80, 200):
        store(tier, states.hybrid, known[:length], Kind.MESSAGE)
    # Freshen the shorter ones: the longest goes first.
    assert served(tier, states.hybrid, [*known[:40], 999]) == 40
    assert served(tier, states.hybrid, [*known[:80], 999]) == 80
    tier.shrink(before - 1)
    assert served(tier, states.hybrid, [*known, 999]) == 80
    assert served(tier, states.hybrid, [*known[:40], 999]) == 40
    assert tier.nbytes < before / 2


@pytest.mark.parametrize("make", [states.attention, states.hybrid])
def test_a_system_prompt_outlives_its_conversations(make: Make) -> None:
    tier = MemoryTier(40_000)
    if make is states.hybrid:
        store(tier, make, SYSTEM, Kind.SYSTEM)
    for number in range(20):
        store(tier, make, SYSTEM + [number] * 100, system=len(SYSTEM))
    assert served(tier, make, [*SYSTEM, 999, 999]) == len(SYSTEM)
    assert tier.nbytes <= 40_000
    assert tier.evicted > 5
    tier.shrink(2_000)
    assert served(tier, make, [*SYSTEM, 999, 999]) == len(SYSTEM)


def test_a_state_larger_than_the_limit_is_not_kept() -> None:
    tier = MemoryTier(5_000)
    store(tier, states.attention, list(range(20)))
    assert not store(tier, states.attention, list(range(1000, 1200)))
    assert served(tier, states.attention, [*range(20), 999]) == 20


def test_old_checkpoints_of_a_long_conversation_go_before_another_conversation() -> None:
    other, known = [7] * 50, list(range(400))
    tier = MemoryTier(PLENTY)
    store(tier, states.hybrid, other, Kind.MESSAGE)
    for length in range(50, 401, 50):
        store(tier, states.hybrid, known[:length], Kind.MESSAGE)
    tier.shrink(tier.nbytes - 1)
    assert served(tier, states.hybrid, [*other, 999]) == 50
    assert served(tier, states.hybrid, [*known, 999]) == 400


def test_tenants_do_not_share() -> None:
    tier = MemoryTier(PLENTY)
    tokens = list(range(30))
    state = Snapshot.take(pack(tokens), states.attention(tokens), Kind.ROW, "one")
    assert state is not None and tier.store(state)
    assert tier.fetch(pack([*tokens, 1]), "other") is None
    assert tier.fetch(pack([*tokens, 1]), "one") is not None


@pytest.mark.parametrize("make", [states.attention, states.hybrid, states.sliding])
def test_a_cache_that_holds_other_than_these_tokens_is_not_taken(make: Make) -> None:
    """An abandoned or half-way written row must never be kept as something it is not."""
    assert Snapshot.take(pack(list(range(29))), make(list(range(30))), Kind.ROW) is None


def test_a_cache_that_is_not_understood_is_not_taken() -> None:
    assert Snapshot.take(pack([1]), [object()], Kind.ROW) is None
    assert Snapshot.take(pack([]), states.attention([]), Kind.ROW) is None
    assert Snapshot.take(pack([1]), states.recurrent([])[:0], Kind.ROW) is None


def test_a_sliding_window_serves_any_length_until_it_slides() -> None:
    tier = MemoryTier(PLENTY)
    short, long = list(range(15)), list(range(40))
    store(tier, states.sliding, short)
    assert served(tier, states.sliding, [*short[:10], 999]) == 10
    store(tier, states.sliding, long)
    # The short one shares the long one's attention layer now and keeps a window of its own.
    assert served(tier, states.sliding, [*short[:10], 999]) == 10
    assert served(tier, states.sliding, [*long[:30], 999]) == 15
    assert served(tier, states.sliding, [*long, 999]) == 40
