"""Who must go is never busy, pinned or just asked for, and always the one that was used longest ago."""

from hypothesis import given
from hypothesis import strategies as st

from mlxd.supervisor.eviction import Resident, choose, choose_to_yield

residents = st.lists(
    st.builds(
        Resident,
        model_id=st.uuids().map(str),
        leases=st.integers(0, 2),
        pinned=st.booleans(),
        idle_since=st.integers(0, 5).map(float),
        waited_for=st.booleans(),
    ),
    max_size=6,
    unique_by=lambda resident: resident.model_id,
)
counts = st.integers(-1, 4)


def by_id(found: list[Resident]) -> dict[str, Resident]:
    """Return residents under their ids."""
    return {resident.model_id: resident for resident in found}


@given(residents, counts)
def test_only_idle_and_unpinned_ones_that_nobody_asked_for_are_evicted(
    found: list[Resident], count: int
) -> None:
    chosen = [by_id(found)[name] for name in choose(found, count)]
    fit = [r for r in found if not (r.leases or r.pinned or r.waited_for)]
    assert all(resident in fit for resident in chosen)
    assert len(chosen) == len(set(chosen)) == min(max(0, count), len(fit))
    rest = [resident for resident in fit if resident not in chosen]
    assert all(gone.idle_since <= kept.idle_since for gone in chosen for kept in rest)


@given(residents, counts)
def test_a_busy_one_yields_only_when_no_idle_one_can(found: list[Resident], count: int) -> None:
    chosen = [by_id(found)[name] for name in choose_to_yield(found, count)]
    movable = [resident for resident in found if not resident.pinned]
    assert all(resident in movable for resident in chosen)
    assert len(chosen) == len(set(chosen)) == min(max(0, count), len(movable))
    rest = [resident for resident in movable if resident not in chosen]
    if any(gone.leases or gone.waited_for for gone in chosen):
        assert all(kept.leases or kept.waited_for for kept in rest)


@given(residents, counts)
def test_the_choice_does_not_depend_on_the_order(found: list[Resident], count: int) -> None:
    assert choose(found, count) == choose(found[::-1], count)
    assert choose_to_yield(found, count) == choose_to_yield(found[::-1], count)


@given(residents, counts)
def test_one_more_place_only_adds_to_the_choice(found: list[Resident], count: int) -> None:
    fewer, more = list(choose(found, count)), list(choose(found, count + 1))
    assert more[: len(fewer)] == fewer
