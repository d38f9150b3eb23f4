"""The table of legal moves has no dead end and no unreachable state."""

import pytest

from mlxd.protocol.lifecycle import (
    ALIVE,
    FAILURES,
    LEGAL,
    IllegalTransition,
    StopReason,
    WorkerState,
    check_move,
)

STATES = list(WorkerState)


def reachable(start: WorkerState) -> set[WorkerState]:
    """Return the states that legal moves lead to."""
    found: set[WorkerState] = set()
    ahead = [start]
    while ahead:
        state = ahead.pop()
        fresh = {new for old, new in LEGAL if old is state} - found
        found |= fresh
        ahead += fresh
    return found


@pytest.mark.parametrize("state", STATES)
def test_every_state_is_reached_from_stopped_and_leads_back_to_it(state: WorkerState) -> None:
    assert state in reachable(WorkerState.STOPPED)
    assert WorkerState.STOPPED in reachable(state)


def test_no_state_moves_to_itself() -> None:
    assert not [move for move in LEGAL if move[0] is move[1]]


def test_a_process_begins_only_by_starting() -> None:
    births = {(old, new) for old, new in LEGAL if old not in ALIVE and new in ALIVE}
    assert births == {
        (WorkerState.STOPPED, WorkerState.STARTING),
        (WorkerState.BACKOFF, WorkerState.STARTING),
    }


def test_every_living_state_can_fail_or_end() -> None:
    for state in ALIVE:
        assert {new for old, new in LEGAL if old is state} - ALIVE, state


def test_readiness_comes_only_from_loading() -> None:
    assert {old for old, new in LEGAL if new is WorkerState.READY} == {WorkerState.LOADING}


@pytest.mark.parametrize("old", STATES)
@pytest.mark.parametrize("new", STATES)
def test_a_move_is_allowed_exactly_where_the_table_has_it(
    old: WorkerState, new: WorkerState
) -> None:
    if (old, new) in LEGAL:
        check_move(old, new)
    else:
        with pytest.raises(IllegalTransition, match=f"{old} -> {new}"):
            check_move(old, new)


def test_every_failure_is_a_reason_and_no_wish_is_a_failure() -> None:
    wishes = {StopReason.UNLOAD, StopReason.IDLE, StopReason.EVICTED, StopReason.SHUTDOWN}
    assert set(StopReason) == FAILURES | wishes
    assert not FAILURES & wishes
