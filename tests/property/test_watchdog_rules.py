"""A deadline is neither early nor late nor without effect, in whatever life."""

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.choices import Drawn
from support.life_moves import choose_policy

from mlxd.protocol.lifecycle import StopReason, WorkerState
from mlxd.supervisor.lifecycle import lifecycle, watchdog
from mlxd.supervisor.lifecycle.events import Kill, StopWanted, Terminate
from mlxd.supervisor.lifecycle.lifecycle import Life, Policy

S = WorkerState
NOW = 1000.0
POLICY = Policy(
    hello_timeout=60, load_stall=300, step_stall=120, drain_timeout=60,
    ask_grace=5, kill_grace=60, stable_after=60, backoff=30, backoff_max=300,
)  # fmt: skip
WORK: dict[str, Any] = {"leases": 1, "expecting": 1}

times = st.sampled_from([0.0, 0.1, 0.7, 5.0, 120.0, 700.0, 1000.0])


@st.composite
def lives(draw: st.DrawFn) -> Life:
    """Draw a life as it may be in its state; all of its times are past."""
    state = draw(st.sampled_from(sorted(S)))
    serving = state in (S.READY, S.DRAINING)
    leases = draw(st.integers(1 if state is S.DRAINING else 0, 2)) if serving else 0
    terminated = state is S.STOPPING and draw(st.booleans())
    return Life(
        state=state,
        since=draw(times),
        progress_at=draw(times),
        rows=draw(st.integers(0, 2)) if serving else 0,
        expecting=draw(st.integers(0, leases)),
        leases=leases,
        idle_since=draw(times),
        idle_timeout=draw(st.sampled_from([0.0, 0.1, 600.0, math.inf])),
        pinned=draw(st.booleans()),
        stop_reason=StopReason.UNLOAD if state in (S.DRAINING, S.STOPPING) else None,
        drain_by=draw(st.sampled_from([0.7, 60.0, math.inf])),
        terminated_at=draw(times) if terminated else math.inf,
        killed=terminated and draw(st.booleans()),
    )


@given(lives(), st.data())
def test_time_is_up_exactly_from_the_deadline_on(life: Life, data: st.DataObject) -> None:
    policy = choose_policy(Drawn(data.draw))
    at = watchdog.deadline(life, policy)
    if math.isinf(at):
        assert watchdog.due(life, policy, 1e12) is None
        return
    due = watchdog.due(life, policy, at)
    assert due is not None and due.state is life.state
    assert watchdog.due(life, policy, math.nextafter(at, -math.inf)) is None


@given(lives(), st.data())
def test_a_deadline_that_passed_has_an_effect_and_is_not_set_again(
    life: Life, data: st.DataObject
) -> None:
    """Given a life whose timer fires, when TimeUp is fed until nothing is due, then a few times suffice."""
    policy = choose_policy(Drawn(data.draw))
    at = watchdog.deadline(life, policy)
    now = NOW if math.isinf(at) else max(at, data.draw(times))
    for _ in range(4):
        event = watchdog.due(life, policy, now)
        if event is None:
            return
        before = life
        life, effects = lifecycle.step(life, event, now, policy)
        assert effects and life != before
    raise AssertionError(f"still due: {life}")


@pytest.mark.parametrize(
    ("life", "after"),
    [
        (Life(state=S.STOPPED), math.inf),
        (Life(state=S.BACKOFF, retry_at=NOW + 5), math.inf),
        (Life(state=S.STARTING), 60),
        (Life(state=S.LOADING, progress_at=NOW + 7), 307),
        (Life(state=S.READY, idle_timeout=600, idle_since=NOW + 1), 601),
        (Life(state=S.READY, idle_timeout=0, idle_since=NOW), 0),
        (Life(state=S.READY, idle_timeout=math.inf), math.inf),
        (Life(state=S.READY, idle_timeout=600, pinned=True), math.inf),
        (Life(state=S.READY, idle_timeout=600, progress_at=NOW + 3, **WORK), 123),
        (Life(state=S.READY, idle_timeout=600, progress_at=NOW, leases=1, rows=3), 120),
        (Life(state=S.READY, idle_timeout=600, pinned=True, progress_at=NOW, **WORK), 120),
        # The engine is done and said so; only the client is not.
        (Life(state=S.READY, idle_timeout=600, leases=1), math.inf),
        # Nobody waits any more, but the engine should have dropped the row within a step.
        (Life(state=S.READY, idle_timeout=600, idle_since=NOW, progress_at=NOW, rows=1), 120),
        (Life(state=S.DRAINING, progress_at=NOW, **WORK), 120),
        (Life(state=S.DRAINING, progress_at=NOW, drain_by=NOW + 60, **WORK), 60),
        (Life(state=S.DRAINING, leases=1), math.inf),
        (Life(state=S.STOPPING), 5),
        (Life(state=S.STOPPING, terminated_at=NOW + 9), 69),
        (Life(state=S.STOPPING, terminated_at=NOW + 9, killed=True), math.inf),
    ],
)
def test_each_state_waits_for_its_own_time(life: Life, after: float) -> None:
    assert watchdog.deadline(replace(life, since=NOW), POLICY) == NOW + after


@pytest.mark.parametrize("late", [0.0, 1.0, 1000.0])
def test_sigkill_waits_for_its_grace_however_late_sigterm_was(late: float) -> None:
    """Regression: after a loop that was stuck for a minute, SIGKILL followed SIGTERM within the same turn."""
    life, _ = lifecycle.step(
        Life(state=S.READY, since=0.0), StopWanted(StopReason.UNLOAD), NOW, POLICY
    )
    now = NOW + POLICY.ask_grace + late
    due = watchdog.due(life, POLICY, now)
    assert due is not None
    life, effects = lifecycle.step(life, due, now, POLICY)
    assert effects == (Terminate(),)
    at = watchdog.deadline(life, POLICY)
    assert at == now + POLICY.kill_grace
    due = watchdog.due(life, POLICY, at)
    assert due is not None
    assert lifecycle.step(life, due, at, POLICY)[1] == (Kill(),)
