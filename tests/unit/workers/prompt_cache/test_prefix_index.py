"""The longest known prefix."""

import pytest

from mlxd.workers.prompt_cache.eviction_order import Kind
from mlxd.workers.prompt_cache.packing import pack
from mlxd.workers.prompt_cache.prefix_index import PrefixIndex


def index(*entries: tuple[list[int], bool]) -> PrefixIndex[str]:
    made: PrefixIndex[str] = PrefixIndex()
    for tokens, trimmable in entries:
        made.add(pack(tokens), str(tokens), nbytes=1, kind=Kind.ROW, trimmable=trimmable)
    return made


def found(made: PrefixIndex[str], tokens: list[int], tenant: str = "") -> tuple[str, int] | None:
    match = made.lookup(pack(tokens), tenant)
    return (match.entry.value, match.length) if match else None


def test_a_trimmable_entry_serves_what_it_shares() -> None:
    assert found(index(([1, 2, 3, 4], True)), [1, 2, 9]) == ("[1, 2, 3, 4]", 2)


def test_an_exact_entry_serves_only_a_prompt_that_goes_on_from_it() -> None:
    made = index(([1, 2, 3], False))
    assert found(made, [1, 2, 9]) is None
    assert found(made, [1, 2, 3, 9]) == ("[1, 2, 3]", 3)


def test_a_trimmable_entry_of_another_branch_may_serve_more_than_an_exact_one() -> None:
    made = index(([1], False), ([1, 2, 3, 8], True), ([1, 2, 3, 4, 5], False))
    assert found(made, [1, 2, 3, 4, 9]) == ("[1, 2, 3, 8]", 3)


def test_nothing_shared_is_no_match() -> None:
    assert found(index(([1, 2], True)), [2, 1]) is None
    assert found(index(([1, 2], True)), []) is None


def test_tenants_do_not_see_each_other() -> None:
    made = index(([1, 2], True))
    assert found(made, [1, 2], "other") is None


def test_an_entry_knows_its_tokens_after_neighbours_came_and_went() -> None:
    made = index(([1, 2, 3, 4], True))
    entry = made.get(pack([1, 2, 3, 4]))
    assert entry is not None
    other = made.add(pack([1, 2, 5]), "other", nbytes=1, kind=Kind.ROW, trimmable=True)
    assert made.tokens(entry) == pack([1, 2, 3, 4])
    made.remove(other)
    assert made.tokens(entry) == pack([1, 2, 3, 4])


def test_the_same_tokens_are_not_taken_twice() -> None:
    with pytest.raises(ValueError, match="already"):
        index(([1, 2], True), ([1, 2], False))


@pytest.mark.timeout(100)
def test_a_look_up_takes_time_linear_in_the_prompt() -> None:
    """A trie that copies its path at each step needs minutes for one of these (5.8 s at 64k tokens)."""
    tokens = [number % 997 for number in range(200_000)]
    made = index((tokens, True), (tokens[:-1] + [1], True))
    for at in range(10, 200_000, 2_000):
        assert made.lookup(pack([*tokens[:at], 998]))
