"""Whoever waits is told what for."""

from collections.abc import Mapping

import pytest

from mlxd.protocol.lifecycle import WorkerState
from mlxd.supervisor.scheduling.scheduler import ModelView, Snapshot, Waiting
from mlxd.supervisor.scheduling.waits import Cause, Progress, Wait, explain, in_words
from mlxd.supervisor.urgency import Priority

S = WorkerState


def snapshot(
    queue: str, *, max_loaded: int = 0, budget: int | None = None, available: int | None = None,
    models: Mapping[str, ModelView] | None = None,
) -> Snapshot:  # fmt: skip
    return Snapshot(
        now=0.0,
        models={name: ModelView(S.STOPPED) for name in queue} | dict(models or {}),
        queue=[Waiting(number, name, 0.0) for number, name in enumerate(queue)],
        max_loaded=max_loaded,
        budget_bytes=budget,
        available_bytes=available,
    )


def test_a_ready_model_keeps_nobody_waiting() -> None:
    assert explain(snapshot("a", models={"a": ModelView(S.READY)}), "a") is None


def test_a_model_without_a_request_is_waited_for_by_nobody() -> None:
    assert explain(snapshot("", models={"a": ModelView(S.STOPPED)}), "a") is None


def test_the_place_in_line_goes_by_priority_before_arrival() -> None:
    queue = [Waiting(1, "a", 0.0, Priority.LOW), Waiting(2, "b", 1.0), Waiting(3, "a", 2.0)]
    stopped = {name: ModelView(S.STOPPED) for name in "ab"}
    found = explain(Snapshot(now=2.0, models=stopped, queue=queue), "a")
    assert found is not None and (found.position, found.of) == (2, 2)
    found = explain(Snapshot(now=2.0, models=stopped, queue=queue, max_swap_wait=2.0), "a")
    assert found is not None and found.position == 1, "it has waited long enough"


@pytest.mark.parametrize("state", [S.STARTING, S.LOADING])
def test_a_load_is_waited_for(state: WorkerState) -> None:
    assert explain(snapshot("a", models={"a": ModelView(state)}), "a") == Wait(Cause.LOADING)


@pytest.mark.parametrize("state", [S.DRAINING, S.STOPPING])
def test_a_model_comes_back_once_its_last_process_is_gone(state: WorkerState) -> None:
    found = explain(snapshot("a", models={"a": ModelView(state)}), "a")
    assert found == Wait(Cause.LEAVING, behind=("a",))


def test_memory_is_short_by_so_many_bytes_that_others_hold() -> None:
    cold = ModelView(S.STOPPED, need_bytes=6)
    busy = ModelView(S.READY, 1, held_bytes=7)
    found = explain(snapshot("xay", budget=10, models={"a": cold, "b": busy}), "a")
    assert found == Wait(Cause.MEMORY, position=2, of=3, bytes_short=3, behind=("b",))
    by_machine = explain(snapshot("a", budget=100, available=1, models={"a": cold, "b": busy}), "a")
    assert by_machine is not None and by_machine.bytes_short == 5


def test_whoever_leaves_is_waited_for_rather_than_who_stays() -> None:
    models = {"b": ModelView(S.READY, 1), "c": ModelView(S.DRAINING, 1)}
    found = explain(snapshot("a", max_loaded=2, models=models), "a")
    assert found == Wait(Cause.SLOTS, position=1, of=1, behind=("c",))


def test_a_wait_in_words() -> None:
    assert in_words(Wait(Cause.MEMORY, 3, 7, 5, ("b", "c"))) == "queued 3/7 behind b, c"
    assert in_words(Wait(Cause.TURN, 1, 1)) == "queued 1/1"
    assert in_words(Wait(Cause.LOADING)) == "loading"
    assert in_words(Wait(Cause.LOADING), Progress(40, 100, 8.0)) == "loading 40% eta 12s"
    assert in_words(Wait(Cause.LOADING), Progress(0, 0, 8.0)) == "loading 0%"


def test_the_rest_of_a_load_is_told_from_the_last_one_where_there_was_one() -> None:
    assert Progress(10, 100, 4.0, seconds_per_byte=0.1).eta == pytest.approx(6.0)
    assert Progress(10, 100, 40.0, seconds_per_byte=0.1).eta == 0.0
    assert Progress(0, 100, 1.0).eta is None
