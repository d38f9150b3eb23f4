"""Each event of a worker's life has the one consequence that the table of moves names."""

import math
from dataclasses import replace

import pytest

from mlxd.protocol.lifecycle import LEGAL, IllegalTransition, StopReason, WorkerState
from mlxd.supervisor.lifecycle import lifecycle
from mlxd.supervisor.lifecycle.events import (
    AskToStop,
    BecameReady,
    DumpStacks,
    Effect,
    Event,
    Exited,
    FailLeases,
    FailureReported,
    HelloReceived,
    LeaseEnded,
    LeaseStarted,
    Progressed,
    Reset,
    SendStart,
    Spawn,
    Stepped,
    StopWanted,
    TimeUp,
    Wanted,
)
from mlxd.supervisor.lifecycle.lifecycle import Life, Policy

S = WorkerState
POLICY = Policy(
    hello_timeout=60, load_stall=300, step_stall=120, drain_timeout=60,
    ask_grace=5, kill_grace=60, stable_after=60, backoff=30, backoff_max=300,
)  # fmt: skip

UNLOAD = StopWanted(StopReason.UNLOAD)
FORCE = StopWanted(StopReason.UNLOAD, force=True)
EXITED = Exited("it left")
STARTING: list[Event] = [Wanted()]
LOADING: list[Event] = [*STARTING, HelloReceived()]
READY: list[Event] = [*LOADING, BecameReady()]
BUSY: list[Event] = [*READY, LeaseStarted()]
DRAINING: list[Event] = [*BUSY, UNLOAD]
BACKOFF: list[Event] = [*STARTING, EXITED]


def live(events: list[Event], now: float = 0.0, life: Life | None = None) -> Life:
    """Return the life after these events, all at one moment."""
    life = life or Life()
    for event in events:
        life, _ = lifecycle.step(life, event, now, POLICY)
    return life


def last(events: list[Event], now: float = 0.0) -> tuple[Life, tuple[Effect, ...]]:
    """Return what the last of these events leads to."""
    return lifecycle.step(live(events[:-1]), events[-1], now, POLICY)


ROWS: dict[tuple[S, S], tuple[list[Event], tuple[Effect, ...]]] = {
    (S.STOPPED, S.STARTING): (STARTING, (Spawn(),)),
    (S.STARTING, S.LOADING): (LOADING, (SendStart(),)),
    (S.STARTING, S.STOPPING): ([*STARTING, UNLOAD], (AskToStop(StopReason.UNLOAD),)),
    (S.STARTING, S.BACKOFF): ([*STARTING, EXITED], ()),
    (S.LOADING, S.READY): (READY, ()),
    (S.LOADING, S.STOPPING): (
        [*LOADING, TimeUp(S.LOADING)],
        (AskToStop(StopReason.LOAD_STALLED),),
    ),
    (S.LOADING, S.BACKOFF): ([*LOADING, EXITED], ()),
    (S.READY, S.DRAINING): (DRAINING, ()),
    (S.READY, S.STOPPING): (
        [*BUSY, FailureReported("torn")],
        (FailLeases("torn"), AskToStop(StopReason.POISONED)),
    ),
    (S.READY, S.BACKOFF): ([*BUSY, EXITED], (FailLeases("it left"),)),
    (S.DRAINING, S.STOPPING): ([*DRAINING, LeaseEnded()], (AskToStop(StopReason.UNLOAD),)),
    (S.DRAINING, S.STOPPED): ([*DRAINING, EXITED], (FailLeases("it left"),)),
    (S.STOPPING, S.STOPPED): ([*STARTING, UNLOAD, EXITED], ()),
    (S.STOPPING, S.BACKOFF): ([*STARTING, TimeUp(S.STARTING), EXITED], ()),
    (S.BACKOFF, S.STARTING): ([*BACKOFF, Wanted()], (Spawn(),)),
    (S.BACKOFF, S.STOPPED): ([*BACKOFF, Reset()], ()),
}


def test_every_legal_move_has_a_row_here() -> None:
    assert ROWS.keys() == LEGAL


@pytest.mark.parametrize("row", sorted(ROWS))
def test_a_legal_move_is_made_by_its_event_with_its_effects(row: tuple[S, S]) -> None:
    events, effects = ROWS[row]
    before, (after, done) = live(events[:-1]), last(events)
    assert (before.state, after.state) == row
    assert done == effects


@pytest.mark.parametrize("events", [STARTING, LOADING, READY, DRAINING, [*STARTING, UNLOAD]])
def test_a_worker_that_exists_is_not_started_again(events: list[Event]) -> None:
    with pytest.raises(IllegalTransition):
        live([*events, Wanted()])


@pytest.mark.parametrize(
    "late",
    [
        HelloReceived(), Progressed(), BecameReady(), Stepped(9, 1), LeaseEnded(), FORCE,
        FailureReported("late"), EXITED, TimeUp(S.READY),
    ],
)  # fmt: skip
@pytest.mark.parametrize("events", [[], BACKOFF])
def test_what_comes_after_the_end_changes_nothing(events: list[Event], late: Event) -> None:
    life = live(events)
    assert lifecycle.step(life, late, 5.0, POLICY) == (life, ())


@pytest.mark.parametrize("events", [[], STARTING, LOADING, DRAINING, [*READY, UNLOAD], BACKOFF])
def test_only_a_ready_worker_is_leased(events: list[Event]) -> None:
    with pytest.raises(RuntimeError, match="lease"):
        live([*events, LeaseStarted()])


def test_an_idle_worker_is_told_to_stop_at_once() -> None:
    life, effects = last([*READY, UNLOAD])
    assert life.state is S.STOPPING and effects == (AskToStop(StopReason.UNLOAD),)


def test_a_stop_by_force_fails_the_requests_first_and_counts_them_no_more() -> None:
    life, effects = last([*BUSY, LeaseStarted(), FORCE])
    fail, ask = effects
    assert isinstance(fail, FailLeases) and ask == AskToStop(StopReason.UNLOAD)
    assert life.leases == 0
    assert lifecycle.step(life, LeaseEnded(), 1.0, POLICY) == (life, ())


def test_a_stuck_worker_writes_its_stacks_before_it_is_told_to_stop() -> None:
    _, effects = last([*BUSY, TimeUp(S.READY)], now=120.0)
    dump, fail, ask = effects
    assert dump == DumpStacks() and ask == AskToStop(StopReason.STEP_STALLED)
    assert isinstance(fail, FailLeases) and "no step for 120 s" in fail.message


def test_a_request_whose_client_reads_slowly_does_not_make_the_worker_stuck() -> None:
    """Regression: the lease outlived the row, the idle engine was quiet, and a healthy worker was stopped."""
    life = live([*BUSY, Stepped(1, 1), Stepped(2, 0)])
    assert life.leases == 1 and math.isinf(lifecycle.stalled_at(life, POLICY))
    life = live([LeaseStarted()], 1000.0, life)
    assert lifecycle.stalled_at(life, POLICY) == 1120.0, "a new request gets its full time"


def test_a_request_that_was_refused_leaves_no_step_to_wait_for() -> None:
    """Regression: beside a client that read slowly, one wrong request made a healthy worker count as stuck."""
    life = live([*BUSY, Stepped(1, 1), Stepped(2, 0)])
    life = live([LeaseStarted(), LeaseEnded(served=True, seen=False)], 1000.0, life)
    assert life.leases == 1 and math.isinf(lifecycle.stalled_at(life, POLICY))
    life = live([LeaseStarted(), LeaseStarted(), LeaseEnded(seen=False)], 2000.0, life)
    assert lifecycle.stalled_at(life, POLICY) == 2120.0, "the other one is waited for"


def test_a_beat_of_the_idle_engine_does_not_end_the_watch_over_a_request_on_its_way() -> None:
    life = live([*READY, Stepped(7, 0), LeaseStarted(), Stepped(7, 0)])
    assert lifecycle.stalled_at(life, POLICY) == 120.0
    life = live([Stepped(7, 1)], 10.0, life)
    assert lifecycle.stalled_at(life, POLICY) == 120.0, "seeing the request is no step"
    life = live([Stepped(8, 1)], 20.0, life)
    assert lifecycle.stalled_at(life, POLICY) == 140.0


def test_clients_that_give_up_and_come_back_do_not_hide_a_stuck_worker() -> None:
    """Regression: with client timeouts below step_stall, a hung engine was never replaced."""
    life = live([*BUSY, Stepped(1, 1)])
    for now in (60.0, 119.0):
        life = live([LeaseEnded(served=False), LeaseStarted()], now, life)
        assert lifecycle.stalled_at(life, POLICY) == 120.0


def test_a_row_of_a_client_that_left_may_come_late() -> None:
    life = live([*BUSY, LeaseEnded(served=False)])
    life = live([Stepped(0, 1)], 1000.0, life)
    assert lifecycle.stalled_at(life, POLICY) == 1120.0


def failures(*ends: list[Event], gap: float = 1000.0) -> list[float]:
    """Return the back-off after each of these lives, one after the other."""
    life, now, waits = Life(), 0.0, []
    for events in ends:
        life = live(events, now, life)
        assert life.state is S.BACKOFF
        waits.append(life.retry_at - now)
        now += gap
    return waits


NEVER_UP = [*LOADING, EXITED]
WAS_UP = [*READY, EXITED]
SERVED = [*BUSY, LeaseEnded(), EXITED]


def test_the_back_off_doubles_up_to_its_limit() -> None:
    assert failures(*[NEVER_UP] * 6) == [30, 60, 120, 240, 300, 300]


def test_a_worker_that_had_come_up_is_replaced_at_once_the_first_time() -> None:
    assert failures(WAS_UP, WAS_UP, WAS_UP, WAS_UP) == [0, 30, 60, 120]


def test_a_served_request_ends_the_row_of_failures() -> None:
    assert failures(NEVER_UP, NEVER_UP, SERVED, SERVED, NEVER_UP) == [30, 60, 0, 0, 60]


@pytest.mark.parametrize("end", [[FailureReported("torn"), EXITED], [TimeUp(S.READY), EXITED]])
def test_a_worker_that_was_up_counts_so_however_it_ended(end: list[Event]) -> None:
    """Regression: one that left through STOPPING was delayed like one that never came up."""
    life = live([*BUSY])
    life = live(end, 130.0, life)
    assert life.state is S.BACKOFF and life.retry_at == 130.0


def test_a_stable_run_ends_the_row_of_failures_even_if_its_last_request_got_stuck() -> None:
    life = live(READY, 0.0, Life(state=S.BACKOFF, failures=5))
    life = live([LeaseStarted()], 59.0, life)
    short = live([TimeUp(S.READY), EXITED], 59.0 + 120.0, replace(life, ready_at=170.0))
    long = live([TimeUp(S.READY), EXITED], 59.0 + 120.0, life)
    assert (short.failures, long.failures) == (6, 1)


def test_the_time_that_a_stuck_worker_takes_to_leave_is_no_stable_run() -> None:
    life = live(READY, 0.0, Life(state=S.BACKOFF, failures=5))
    life = live([FailureReported("torn")], 1.0, life)
    assert live([EXITED], 500.0, life).failures == 6


def test_the_thousandth_failure_is_a_failure_like_any_other() -> None:
    """Regression: 2 ** 1025 times a float is an OverflowError, and the state stayed LOADING without a process."""
    life = live(NEVER_UP, 0.0, Life(state=S.BACKOFF, failures=5000))
    assert life.state is S.BACKOFF and life.retry_at == POLICY.backoff_max


def test_the_error_of_a_failure_is_the_workers_own_word_where_it_had_one() -> None:
    assert live([*LOADING, EXITED]).error == "it left"
    assert live([*LOADING, FailureReported("torn"), EXITED]).error == "torn"
    assert (
        live([*LOADING, TimeUp(S.LOADING), EXITED]).error == "the load made no progress for 300 s"
    )
    assert live([*BACKOFF, Wanted()]).error is None


def test_a_start_forgets_the_process_before() -> None:
    life = live([*BUSY, Stepped(5, 1), LeaseEnded(), FORCE, EXITED, Wanted()], 7.0)
    assert life == Life(state=S.STARTING, since=7.0, progress_at=7.0, idle_since=7.0)
