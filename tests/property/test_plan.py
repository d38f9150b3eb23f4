"""What a plan says is what then happens: it is the scheduler's own decision, one request later."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from mlxd.protocol.lifecycle import ALIVE, WorkerState
from mlxd.protocol.plan import Verdict
from mlxd.supervisor.scheduling.plan import plan
from mlxd.supervisor.scheduling.scheduler import (
    Evict,
    ModelView,
    Refuse,
    Snapshot,
    Start,
    Waiting,
    decide,
)

S = WorkerState
NAMES = "abcd"
NOW = 100.0


@st.composite
def snapshots(draw: st.DrawFn) -> Snapshot:
    """Draw any machine."""
    models = {name: draw(views()) for name in NAMES}
    queue = [
        Waiting(ticket, draw(st.sampled_from(NAMES)), draw(st.sampled_from((0.0, 99.0))))
        for ticket in range(draw(st.integers(0, 3)))
    ]
    budget = draw(st.one_of(st.none(), st.integers(0, 30)))
    available = None if budget is None else draw(st.integers(0, 30))
    return Snapshot(
        NOW, models, queue, draw(st.integers(0, 3)), draw(st.sampled_from((10.0, 1e9))),
        budget, available,
    )  # fmt: skip


@st.composite
def views(draw: st.DrawFn) -> ModelView:
    """Draw a model."""
    state = draw(st.sampled_from(S))
    busy = state in (S.READY, S.DRAINING)
    return ModelView(
        state=state,
        leases=draw(st.integers(0, 2)) if busy else 0,
        pinned=draw(st.booleans()),
        idle_since=draw(st.sampled_from((0.0, 50.0))),
        retry_at=draw(st.sampled_from((0.0, 200.0))),
        need_bytes=draw(st.integers(1, 15)),
        held_bytes=draw(st.integers(1, 15)) if state in ALIVE else 0,
    )


@settings(max_examples=400)
@given(snapshots())
def test_a_plan_is_what_the_scheduler_does(snapshot: Snapshot) -> None:
    found = plan(snapshot, "a")
    state = snapshot.models["a"].state
    asked = replace(snapshot, queue=[*snapshot.queue, Waiting(99, "a", NOW)])
    actions = decide(asked)
    victims = {x.model_id for x in actions if isinstance(x, Evict) and x.room_for == "a"}
    refused = any(isinstance(x, Refuse) and x.ticket == 99 for x in actions)
    assert (found.verdict is Verdict.FITS) == (Start("a") in actions)
    assert {one.model for one in found.evicts} == (
        victims if found.verdict is Verdict.EVICTS else set()
    )
    assert refused == (found.verdict in (Verdict.BACKOFF, Verdict.TOO_LARGE, Verdict.ALL_PINNED))
    assert (state is S.READY) == (found.verdict is Verdict.LOADED)
    assert (state in (S.STARTING, S.LOADING)) == (found.verdict is Verdict.LOADING)
    for holder in (*found.evicts, *found.waits_for):
        view = snapshot.models[holder.model]
        assert view.state in ALIVE and holder.held_bytes == view.held_bytes
    for holder in found.evicts:
        assert not holder.pinned
    if found.verdict is Verdict.FITS and snapshot.budget_bytes is not None:
        assert found.need_bytes <= snapshot.budget_bytes - found.held_bytes
        assert found.short_bytes == 0


def ready(held: int, leases: int = 0, *, pinned: bool = False) -> ModelView:
    """Describe a worker that serves."""
    return ModelView(S.READY, leases, pinned, idle_since=NOW - 7, held_bytes=held, need_bytes=held)


def machine(**models: ModelView) -> Snapshot:
    """Return a machine of ten bytes, with a model `x` that needs six."""
    cold = ModelView(S.STOPPED, need_bytes=6)
    return Snapshot(NOW, {"x": cold, **models}, [], 0, 60.0, 10, 10)


def test_each_answer_comes_with_its_numbers() -> None:
    fits = plan(machine(), "x", load_seconds=2.0)
    assert (fits.verdict, fits.need_bytes, fits.budget_bytes) == (Verdict.FITS, 6, 10)
    assert fits.load_seconds == 2.0
    evicts = plan(machine(a=ready(7)), "x")
    assert evicts.verdict is Verdict.EVICTS and evicts.short_bytes == 3
    assert [(one.model, one.held_bytes, one.idle_seconds) for one in evicts.evicts] == [
        ("a", 7, 7.0)
    ]
    waits = plan(machine(a=ready(3, 1), b=ready(3, 2)), "x")
    assert waits.verdict is Verdict.WAITS and waits.short_bytes == 2
    assert [one.model for one in waits.waits_for] == ["a"]
    assert waits.waits_for[0].active_requests == 1
    leaving = plan(machine(a=ModelView(S.STOPPING, held_bytes=9)), "x")
    assert leaving.verdict is Verdict.WAITS and [one.model for one in leaving.waits_for] == ["a"]
    assert plan(machine(a=ready(7, pinned=True)), "x").verdict is Verdict.TOO_LARGE


def test_a_model_on_its_way_out_waits_for_itself() -> None:
    snapshot = machine(a=ModelView(S.DRAINING, 1, held_bytes=5))
    assert [one.model for one in plan(snapshot, "a").waits_for] == ["a"]
