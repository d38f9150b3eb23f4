"""Who must go is never busy, pinned or just asked for, and always the one that was used longest ago."""

from hypothesis import given
from hypothesis import strategies as st

from mlxd.supervisor.scheduling.eviction import Resident, choose, choose_to_yield
from mlxd.supervisor.scheduling.room import Room

residents = st.lists(
    st.builds(
        Resident,
        model_id=st.uuids().map(str),
        leases=st.integers(0, 2),
        pinned=st.booleans(),
        idle_since=st.integers(0, 5).map(float),
        waited_for=st.booleans(),
        held_bytes=st.integers(0, 4),
    ),
    max_size=6,
    unique_by=lambda resident: resident.model_id,
)
shortages = st.builds(Room, st.integers(-1, 4), st.integers(-1, 12))
NOTHING = Room(0, 0)


def by_id(found: list[Resident]) -> dict[str, Resident]:
    """Return residents under their ids."""
    return {resident.model_id: resident for resident in found}


def room_of(some: list[Resident]) -> Room:
    """Return what comes back when these go."""
    return Room(len(some), sum(resident.held_bytes for resident in some))


def may_be_evicted(resident: Resident) -> bool:
    """Tell whether nobody uses it, waits for it or pinned it."""
    return not (resident.leases or resident.pinned or resident.waited_for)


@given(residents, shortages)
def test_only_idle_and_unpinned_ones_that_nobody_asked_for_are_evicted(
    found: list[Resident], short: Room
) -> None:
    chosen = [by_id(found)[name] for name in choose(found, short)]
    assert len(chosen) == len(set(chosen))
    assert all(may_be_evicted(resident) for resident in chosen)


@given(residents, shortages)
def test_somebody_is_evicted_exactly_where_that_is_enough(
    found: list[Resident], short: Room
) -> None:
    chosen = [by_id(found)[name] for name in choose(found, short)]
    all_idle = [resident for resident in found if may_be_evicted(resident)]
    if short.fits_in(NOTHING) or not short.fits_in(room_of(all_idle)):
        assert chosen == []
    else:
        assert short.fits_in(room_of(chosen))


@given(residents, shortages)
def test_nobody_goes_who_need_not(found: list[Resident], short: Room) -> None:
    for choice in (choose, choose_to_yield):
        chosen = [by_id(found)[name] for name in choice(found, short)]
        for spared in chosen:
            assert not short.fits_in(room_of([r for r in chosen if r is not spared]))


@given(residents, st.integers(0, 4))
def test_where_only_places_are_short_the_longest_idle_go(found: list[Resident], count: int) -> None:
    chosen = [by_id(found)[name] for name in choose(found, Room(count, 0))]
    rest = [r for r in found if may_be_evicted(r) and r not in chosen]
    if chosen:
        assert len(chosen) == count
        assert all(gone.idle_since <= kept.idle_since for gone in chosen for kept in rest)


@given(residents, shortages)
def test_nobody_goes_but_for_those_that_were_used_later(found: list[Resident], short: Room) -> None:
    """Of the idle ones, all that are older than the last one chosen would not have been enough."""
    chosen = [by_id(found)[name] for name in choose(found, short)]
    if chosen:
        last = max((r.idle_since, r.model_id) for r in chosen)
        older = [r for r in found if may_be_evicted(r) and (r.idle_since, r.model_id) < last]
        assert not short.fits_in(room_of(older))


@given(residents, st.integers(0, 4))
def test_a_busy_one_yields_only_when_no_idle_one_can(found: list[Resident], count: int) -> None:
    chosen = [by_id(found)[name] for name in choose_to_yield(found, Room(count, 0))]
    assert not any(resident.pinned for resident in chosen)
    rest = [resident for resident in found if not resident.pinned and resident not in chosen]
    if any(gone.leases or gone.waited_for for gone in chosen):
        assert all(kept.leases or kept.waited_for for kept in rest)


@given(residents, shortages)
def test_the_choice_does_not_depend_on_the_order(found: list[Resident], short: Room) -> None:
    assert choose(found, short) == choose(found[::-1], short)
    assert choose_to_yield(found, short) == choose_to_yield(found[::-1], short)
