"""A model that fails too often in a row is left alone until somebody resets it."""

import math
from dataclasses import replace

from mlxd.protocol.lifecycle import WorkerState
from mlxd.supervisor.lifecycle.events import BecameReady as Ready
from mlxd.supervisor.lifecycle.events import (
    Exited,
    HelloReceived,
    LeaseEnded,
    LeaseStarted,
    Reset,
    Wanted,
)
from mlxd.supervisor.lifecycle.lifecycle import Life, Policy, step
from mlxd.supervisor.scheduling.scheduler import (
    ModelView,
    Refusal,
    Refuse,
    Snapshot,
    Waiting,
    decide,
)

POLICY = Policy(
    hello_timeout=60, load_stall=300, step_stall=120, drain_timeout=60, ask_grace=5,
    kill_grace=60, stable_after=60, backoff=30, backoff_max=300, quarantine_after=3,
)  # fmt: skip


def failed(life: Life, now: float, policy: Policy = POLICY) -> Life:
    """Return the life after one more load that failed."""
    for event in (Wanted(), HelloReceived(), Exited("it broke")):
        life, _ = step(life, event, now, policy)
    return life


def failed_times(count: int, policy: Policy = POLICY) -> Life:
    """Return the life after so many failures in a row."""
    life = Life()
    for number in range(count):
        life = failed(life, 1000.0 * number, policy)
    return life


def test_the_last_failure_that_is_borne_ends_the_trying() -> None:
    assert math.isfinite(failed_times(2).retry_at)
    quarantined = failed_times(3)
    assert quarantined.state is WorkerState.BACKOFF
    assert math.isinf(quarantined.retry_at)
    assert quarantined.error == "it broke"


def test_requests_for_it_are_refused_however_late_they_come() -> None:
    view = ModelView(WorkerState.BACKOFF, retry_at=failed_times(3).retry_at)
    snapshot = Snapshot(now=1e12, models={"a": view}, queue=[Waiting(1, "a", 1e12)])
    assert decide(snapshot) == [Refuse(1, Refusal.BACKOFF)]


def test_a_reset_gives_it_all_its_tries_back() -> None:
    life, _ = step(failed_times(3), Reset(), 5000.0, POLICY)
    assert (life.state, life.failures, life.error) == (WorkerState.STOPPED, 0, None)
    assert math.isfinite(failed(life, 6000.0).retry_at)


def test_a_request_served_in_between_counts_from_one_again() -> None:
    life = failed_times(2)
    events = (Wanted(), HelloReceived(), Ready(), LeaseStarted(), LeaseEnded(), Exited("it broke"))
    for event in events:
        life, _ = step(life, event, 9000.0, POLICY)
    assert life.failures == 1 and math.isfinite(life.retry_at)


def test_zero_means_never() -> None:
    assert math.isfinite(failed_times(50, replace(POLICY, quarantine_after=0)).retry_at)
