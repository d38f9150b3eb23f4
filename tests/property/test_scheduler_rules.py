"""Whatever comes in whatever order: nobody is forgotten, nobody is cut off, nothing is started twice."""

import math

from hypothesis import given, settings
from support.choices import Seeded
from support.pool_parts import Drain, Pin, Request, Worker
from support.pool_world import World
from support.worlds import choose_world, worlds

from mlxd.supervisor.urgency import Priority

Script = list[Request | Drain | Pin]


@settings(max_examples=100)
@given(worlds())
def test_every_request_is_answered_and_every_decision_keeps_the_rules(world: World) -> None:
    world.run()


def test_no_world_of_a_thousand_breaks_a_rule() -> None:
    for seed in range(1000):
        choose_world(Seeded(seed)).run()


def test_requests_that_alternate_between_two_models_cost_one_swap() -> None:
    script = [Request("ab"[n % 2], at=n * 0.1, runs_s=2.0) for n in range(6)]
    world = World({"a": Worker(), "b": Worker()}, script, max_loaded=1).run()
    assert world.starts == ["a", "b"]


def test_requests_that_alternate_while_a_model_is_loaded_cost_one_swap() -> None:
    script = [Request("a", at=0.0)]
    script += [Request("ab"[n % 2], at=10 + n * 0.1, runs_s=5.0) for n in range(8)]
    world = World({"a": Worker(), "b": Worker()}, script, max_loaded=1, max_swap_wait=120.0).run()
    assert world.starts == ["a", "b"]


def test_a_model_that_is_never_idle_yields_once_a_request_has_waited_long_enough() -> None:
    """Given a hot model, when another is asked for, then it gets its turn after max_swap_wait, a drain and a load."""
    hot = [Request("hot", at=float(second), runs_s=3.0) for second in range(100)]
    cold = Request("cold", at=10.0)
    world = World(
        {"hot": Worker(), "cold": Worker()}, [*hot, cold], max_loaded=1, max_swap_wait=20.0
    ).run()
    assert cold.granted_at is not None
    drain, stop, load = 3.0, 1.0, 3.0
    assert 20.0 <= cold.granted_at - cold.at <= 20.0 + drain + stop + load
    assert world.starts == ["hot", "cold", "hot"]


def test_a_model_that_is_never_idle_keeps_its_place_until_then() -> None:
    hot = [Request("hot", at=float(second), runs_s=3.0) for second in range(10)]
    world = World(
        {"hot": Worker(), "cold": Worker()},
        [*hot, Request("cold", at=5.0, patience_s=19.0)],
        max_loaded=1,
        max_swap_wait=20.0,
    ).run()
    assert world.starts == ["hot", "cold"], "the cold one came when the hot one was done"


def test_the_model_of_the_most_urgent_request_comes_first() -> None:
    """Given one place that is taken, when three others are asked for, then priority goes before arrival."""
    script = [
        Request("busy", at=0.0, runs_s=20.0),
        Request("low", at=4.0, priority=Priority.LOW),
        Request("normal", at=5.0),
        Request("high", at=6.0, priority=Priority.HIGH),
    ]
    models = {name: Worker() for name in ("busy", "low", "normal", "high")}
    world = World(models, script, max_loaded=1, max_swap_wait=100.0).run()
    assert world.starts == ["busy", "high", "normal", "low"]


def test_a_low_request_is_not_passed_for_ever() -> None:
    """Given ever more urgent requests for two other models, when a low one has waited long, then it is as urgent."""
    urgent = [
        Request("ab"[n % 2], at=n * 0.5, runs_s=0.5, priority=Priority.HIGH) for n in range(400)
    ]
    low = Request("low", at=5.0, priority=Priority.LOW)
    models = {name: Worker() for name in ("a", "b", "low")}
    World(models, [*urgent, low], max_loaded=1, max_swap_wait=20.0).run()
    swap = 0.5 + 1.0 + 3.0
    assert low.granted_at is not None
    assert low.granted_at - low.at <= 2 * (20.0 + swap), "its own wait, and that of who came before"


def test_a_ready_model_is_granted_while_another_loads() -> None:
    """Given a slow load, when requests for a ready model come, then none of them waits."""
    ready = [Request("a", at=10.0 + second) for second in range(5)]
    script = [Request("a", at=0.0), Request("b", at=9.0), *ready]
    World({"a": Worker(), "b": Worker(load_s=60.0)}, script, max_loaded=2).run()
    assert all(request.granted_at == request.at for request in ready)


def test_twenty_first_requests_start_one_worker() -> None:
    world = World({"a": Worker()}, [Request("a", at=0.0) for _ in range(20)]).run()
    assert world.starts == ["a"]
    assert {request.granted_at for request in world.requests} == {3.0}


def test_the_next_worker_starts_only_when_the_evicted_one_is_gone() -> None:
    script = [Request("a", at=0.0), Request("b", at=10.0)]
    world = World({"a": Worker(), "b": Worker()}, script, max_loaded=1)
    world.workers["a"].stop_s = 50.0
    world.run()
    assert world.requests[1].granted_at == 10.0 + 50.0 + 3.0


def test_a_request_that_waited_too_long_for_a_drain_takes_the_place_of_an_idle_model() -> None:
    """Given a model that drains for long by an operator's wish, when another one is idle, then that one goes."""
    busy = Request("busy", at=0.0, runs_s=1000.0)
    script: Script = [
        busy,
        Request("idle", at=0.0),
        Drain("busy", at=10.0),
        Request("new", at=11.0),
    ]
    models = {"busy": Worker(), "idle": Worker(), "new": Worker()}
    world = World(models, script, max_loaded=2, max_swap_wait=30.0).run()
    assert world.evictions == ["idle"]
    assert world.requests[-1].granted_at == 11.0 + 30.0 + 1.0 + 3.0


def test_the_moment_of_too_long_is_not_missed_by_rounding() -> None:
    """Regression: 0.7 + 0.1 is before 0.7 + 0.1 had passed, so the wake came, decided nothing and never came again."""
    assert not (0.7 + 0.1) - 0.7 >= 0.1
    models = {"hot": Worker(load_s=0.25), "cold": Worker()}
    script = [Request("hot", at=0.0, runs_s=60.0), Request("cold", at=0.7)]
    world = World(models, script, max_loaded=1, max_swap_wait=0.1).run()
    assert world.evictions == ["hot"]


def test_a_request_is_refused_where_every_place_is_pinned_for_good() -> None:
    script: Script = [Request("a", at=0.0), Pin("a", at=5.0, pinned=True), Request("b", at=6.0)]
    world = World({"a": Worker(), "b": Worker()}, script, max_loaded=1).run()
    assert world.requests[1].refused is not None


def test_a_waiting_request_is_refused_once_the_last_place_is_pinned() -> None:
    busy = Request("a", at=0.0, runs_s=50.0)
    script: Script = [busy, Request("b", at=5.0), Pin("a", at=6.0, pinned=True)]
    world = World({"a": Worker(), "b": Worker()}, script, max_loaded=1, max_swap_wait=math.inf)
    assert world.run().requests[1].refused is not None
