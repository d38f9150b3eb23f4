"""One snapshot, one decision."""

import math

from mlxd.protocol.lifecycle import WorkerState
from mlxd.supervisor.scheduling import scheduler
from mlxd.supervisor.scheduling.scheduler import (
    Action,
    Evict,
    Grant,
    ModelView,
    Refusal,
    Refuse,
    Snapshot,
    Start,
    Waiting,
)

S = WorkerState
STOPPED = ModelView(S.STOPPED)
NOW = 100.0


def decide(
    queue: str, models: dict[str, ModelView], *, max_loaded: int = 1, arrived_at: float = NOW
) -> list[Action]:
    """Decide for requests named by their models' letters, in order of arrival."""
    return scheduler.decide(snapshot(queue, models, max_loaded=max_loaded, arrived_at=arrived_at))


def snapshot(
    queue: str, models: dict[str, ModelView], *, max_loaded: int = 1, arrived_at: float = NOW
) -> Snapshot:
    """Return a snapshot in which a wait of 30 s is too long."""
    return Snapshot(
        now=NOW,
        models={name: STOPPED for name in queue} | models,
        queue=[Waiting(n, name, arrived_at) for n, name in enumerate(queue)],
        max_loaded=max_loaded,
        max_swap_wait=30.0,
    )


def ready(leases: int = 0, *, pinned: bool = False, idle_since: float = 0.0) -> ModelView:
    """Return a ready worker."""
    return ModelView(S.READY, leases, pinned, idle_since)


LONG_AGO = NOW - 30.0


def test_nobody_waits_nothing_is_done() -> None:
    assert decide("", {"a": ready(), "b": ModelView(S.BACKOFF)}) == []


def test_requests_of_a_ready_model_are_granted_in_order() -> None:
    assert decide("aba", {"a": ready()}) == [Grant(0), Grant(2)]


def test_a_model_is_started_once_for_all_who_wait() -> None:
    assert decide("aaa", {}) == [Start("a")]


def test_without_a_limit_all_are_started() -> None:
    assert decide("abab", {}, max_loaded=0) == [Start("a"), Start("b")]


def test_a_model_on_its_way_is_waited_for() -> None:
    for state in (S.STARTING, S.LOADING, S.DRAINING, S.STOPPING):
        assert decide("a", {"a": ModelView(state)}) == []


def test_the_second_of_two_models_waits_for_the_one_place() -> None:
    """Regression: it was refused as if all places were pinned, where there was nobody to be pinned."""
    assert decide("ab", {}) == [Start("a")]


def test_a_model_in_back_off_is_refused_until_its_time_has_come() -> None:
    failed = {"a": ModelView(S.BACKOFF, retry_at=NOW + 1)}
    assert decide("a", failed) == [Refuse(0, Refusal.BACKOFF)]
    assert decide("a", {"a": ModelView(S.BACKOFF, retry_at=NOW)}) == [Start("a")]


def test_the_least_recently_used_idle_model_makes_room() -> None:
    models = {"a": ready(idle_since=5), "b": ready(idle_since=3), "c": ready(1, idle_since=1)}
    assert decide("x", models, max_loaded=3) == [Evict("b")]


def test_a_model_that_this_decision_grants_does_not_make_room() -> None:
    assert decide("ax", {"a": ready()}) == [Grant(0)]


def test_a_busy_model_makes_room_only_for_who_has_waited_too_long() -> None:
    assert decide("x", {"a": ready(1)}) == []
    assert decide("x", {"a": ready(1)}, arrived_at=LONG_AGO) == [Evict("a")]


def test_an_idle_model_goes_before_one_that_is_just_granted() -> None:
    """Regression: of two without a lease, the older one went, although its request was being granted."""
    models = {"a": ready(idle_since=1), "b": ready(idle_since=2)}
    assert decide("xa", models, max_loaded=2, arrived_at=LONG_AGO) == [Grant(1), Evict("b")]


def test_a_worker_that_leaves_still_has_its_place() -> None:
    for state in (S.DRAINING, S.STOPPING):
        assert decide("x", {"a": ModelView(state)}) == []


def test_each_place_that_gets_free_is_promised_once() -> None:
    models = {"a": ModelView(S.STOPPING), "b": ready(idle_since=1), "c": ready(idle_since=2)}
    assert decide("xy", models, max_loaded=3) == [Evict("b")]


def test_a_long_drain_is_not_waited_for_where_an_idle_model_can_go() -> None:
    models = {"a": ModelView(S.DRAINING, 1), "b": ready()}
    assert decide("x", models, max_loaded=2) == []
    assert decide("x", models, max_loaded=2, arrived_at=LONG_AGO) == [Evict("b")]
    busy = models | {"b": ready(1)}
    assert decide("x", busy, max_loaded=2, arrived_at=LONG_AGO) == [], "one drain is enough"


def test_where_all_are_pinned_everybody_who_waits_for_a_place_is_refused() -> None:
    pinned = {"a": ready(pinned=True), "b": ModelView(S.LOADING, pinned=True)}
    refused = [Refuse(0, Refusal.ALL_PINNED), Refuse(1, Refusal.ALL_PINNED)]
    assert decide("xx", pinned, max_loaded=2) == refused
    assert decide("xx", pinned, max_loaded=3) == [Start("x")]


def test_a_pinned_model_that_leaves_is_waited_for() -> None:
    assert decide("x", {"a": ModelView(S.STOPPING, pinned=True)}) == []
    models = {"a": ModelView(S.STOPPING, pinned=True), "b": ready(pinned=True)}
    assert decide("xy", models, max_loaded=2) == []


def test_the_clock_alone_matters_only_to_who_waits_without_a_worker() -> None:
    cold = snapshot("x", {"a": ready(1)}, arrived_at=NOW - 10)
    assert scheduler.next_wake(cold) == NOW + 20
    for state in (S.READY, S.LOADING, S.STOPPING):
        assert math.isinf(scheduler.next_wake(snapshot("x", {"x": ModelView(state)})))
    assert math.isinf(scheduler.next_wake(snapshot("x", {}, arrived_at=LONG_AGO)))
