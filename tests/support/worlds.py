"""Choose worlds for the scheduler: few models, many requests, times that meet."""

import math

from hypothesis import strategies as st
from support.choices import Choose, Drawn
from support.pool_parts import Drain, Pin, Request, Worker
from support.pool_world import World

from mlxd.supervisor.urgency import Priority

MODELS = ("a", "b", "c", "d")
# Whole numbers meet; of the tenths, many sums are rounded.
MOMENTS = tuple(map(float, range(40))) + tuple(n / 10 for n in range(100))


def choose_request(choose: Choose) -> Request:
    """Choose one request."""
    return Request(
        model=choose(MODELS),
        at=choose(MOMENTS),
        runs_s=choose((0.5, 1.0, 3.0, 30.0)),
        patience_s=choose((math.inf, math.inf, math.inf, 0.5, 6.0)),
    )


def choose_intervention(choose: Choose) -> Drain | Pin:
    """Choose what an operator does."""
    if choose((False, True)):
        return Drain(choose(MODELS), choose(MOMENTS))
    return Pin(choose(MODELS), choose(MOMENTS), choose((False, True)))


def choose_worker(choose: Choose) -> Worker:
    """Choose how one worker behaves."""
    return Worker(
        load_s=choose((0.5, 3.0, 10.0)),
        stop_s=choose((0.5, 2.0)),
        fails=choose((0, 0, 0, 0, 0, 1, 2)),
        pinned=choose((False, False, False, False, False, True)),
    )


def choose_world(choose: Choose) -> World:
    """Choose a whole world, ready to run."""
    requests = [choose_request(choose) for _ in range(choose(range(1, 16)))]
    acts = [choose_intervention(choose) for _ in range(choose((0, 0, 1, 2, 4)))]
    world = World(
        {model: choose_worker(choose) for model in MODELS},
        [*requests, *acts],
        max_loaded=choose((0, 1, 1, 2, 2, 3)),
        max_swap_wait=choose((0.0, 0.1, 5.0, 5.0, 20.0, math.inf)),
    )
    if choose((False, True)):
        choose_sizes(choose, world)
    if choose((False, True)):
        for request in requests:
            request.priority = choose(tuple(Priority))
    return world


def choose_sizes(choose: Choose, world: World) -> None:
    """Choose what the workers take and what there is; estimates are not always right."""
    world.max_loaded = choose((0, 0, 0, 2, 3))
    world.budget_bytes = choose((8, 10, 10, 16))
    world.host_bytes = choose((None, 9, 12, 40))
    for worker in world.workers.values():
        worker.need_bytes = choose((1, 2, 3, 4, 5, 6, 8, 12))
        worker.takes_bytes = max(0, worker.need_bytes + choose((-1, 0, 0, 0, 1, 3)))


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Let Hypothesis choose."""
    return choose_world(Drawn(draw))
