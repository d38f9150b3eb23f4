"""Limits of all workers together stay within the budget."""

from hypothesis import given
from hypothesis import strategies as st

from mlxd.supervisor.budget.grants import Claim, Grant, shares, wired

GB = 10**9
sizes = st.integers(0, 10**12)
claims = st.dictionaries(st.sampled_from("abcdef"), st.builds(Claim, sizes, sizes))


def total(grant: Grant) -> int:
    return grant.memory_bytes + grant.cache_bytes


def test_one_worker_gets_the_whole_budget_and_keeps_a_tenth_of_it_for_freed_buffers() -> None:
    assert shares(50 * GB, {"a": Claim(8 * GB, 9 * GB)}) == {"a": Grant(45 * GB, 5 * GB)}


def test_what_is_left_is_divided_evenly() -> None:
    found = shares(50 * GB, {"a": Claim(8 * GB, 10 * GB), "b": Claim(1 * GB, 20 * GB)})
    assert [total(found[name]) for name in "ab"] == [20 * GB, 30 * GB]


def test_no_worker_no_share() -> None:
    assert shares(50 * GB, {}) == {}


@given(budget=sizes, wanted=claims)
def test_all_limits_together_are_no_more_than_the_budget(
    budget: int, wanted: dict[str, Claim]
) -> None:
    found = shares(budget, wanted)
    assert found.keys() == wanted.keys()
    assert sum(map(total, found.values())) <= budget
    assert all(grant.memory_bytes >= 0 <= grant.cache_bytes for grant in found.values())


@given(budget=sizes, wanted=claims)
def test_where_all_fit_each_gets_what_it_claims_and_room_for_its_weights(
    budget: int, wanted: dict[str, Claim]
) -> None:
    if sum(claim.held_bytes for claim in wanted.values()) > budget:
        return
    for name, grant in shares(budget, wanted).items():
        assert total(grant) >= wanted[name].held_bytes
        assert grant.memory_bytes >= min(wanted[name].weights_bytes, total(grant))


@given(weights=sizes, recommended=sizes, others=sizes)
def test_never_more_is_wired_than_a_model_needs_and_8_gb_stay_free(
    weights: int, recommended: int, others: int
) -> None:
    found = wired(weights, recommended, others)
    assert 0 <= found and found * 10 <= weights * 13
    assert found == 0 or found + others + 8 * GB <= recommended


def test_what_is_wired_is_the_weights_and_a_little_more() -> None:
    assert wired(10 * GB, 48 * GB, 0) == 13 * GB
    assert wired(10 * GB, 48 * GB, 30 * GB) == 10 * GB
