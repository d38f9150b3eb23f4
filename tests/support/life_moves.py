"""Say what may happen to a worker, and let it happen."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from support.choices import Choose
from support.life_world import LifeWorld

from mlxd.protocol.lifecycle import FAILURES, StopReason, WorkerState
from mlxd.supervisor.lifecycle.lifecycle import Policy

S = WorkerState
WANTED_STOPS = sorted(set(StopReason) - FAILURES)
YES_NO = (False, True)

# Whole numbers, so that sums are exact; few, so that times meet.
LIMITS = (2.0, 5.0, 20.0, 100.0, 100.0)
TIMES = (1.0, 1.0, 2.0, 5.0, 20.0, 100.0)


def choose_policy(choose: Choose) -> Policy:
    """Choose the times of a run."""
    return Policy(
        hello_timeout=choose(LIMITS),
        load_stall=choose(LIMITS),
        step_stall=choose(LIMITS),
        drain_timeout=choose(LIMITS),
        ask_grace=choose(LIMITS),
        kill_grace=choose(LIMITS),
        stable_after=choose(LIMITS),
        backoff=choose((1.0, 4.0)),
        backoff_max=choose((4.0, 30.0)),
    )


@dataclass(frozen=True)
class Move:
    """Name something that may happen, when, and with which arguments."""

    name: str
    is_possible: Callable[[LifeWorld], bool]
    domains: tuple[Sequence[Any], ...] = ()
    weight: int = 1


def _in(*states: S) -> Callable[[LifeWorld], bool]:
    return lambda world: world.life.state in states


def _has_process(world: LifeWorld) -> bool:
    return world.account.process is not None


def _may_start(world: LifeWorld) -> bool:
    return world.life.state is S.STOPPED or world.may_retry


MOVES = (
    Move("want", _may_start),
    Move("come_up", _may_start, weight=4),
    Move("lease", _in(S.READY), ((None, None, 0.0, 5.0, math.inf),), weight=3),
    Move("end_lease", lambda w: w.account.leases > 0, (YES_NO, YES_NO)),
    Move("stop", _has_process, (WANTED_STOPS, YES_NO, YES_NO)),
    Move("stop", _in(S.READY, S.DRAINING), (WANTED_STOPS, (False,), YES_NO), weight=2),
    Move("reset", _in(S.BACKOFF)),
    Move("pin", _has_process, (YES_NO,)),
    Move("declare", _in(S.STOPPED), ((0.0, 5.0, 100.0, math.inf),)),
    Move("hello", _has_process),
    Move("progress", _has_process),
    Move("become_ready", _has_process),
    Move("beat", _in(S.READY, S.DRAINING), (YES_NO, (0, 1, 2)), weight=3),
    Move("report_failure", _has_process),
    Move("exit", _has_process),
    Move("exit", _in(S.STOPPING), weight=10),
    Move("pass_time", lambda _: True, (TIMES,), weight=3),
    Move("oversleep", lambda _: True, (TIMES,)),
    Move("stale_timer", lambda _: True, (sorted(S),)),
)


def move(world: LifeWorld, choose: Choose) -> None:
    """Let one possible thing happen and check the laws."""
    possible = [one for one in MOVES if one.is_possible(world) for _ in range(one.weight)]
    chosen = choose(possible)
    getattr(world, chosen.name)(*(choose(domain) for domain in chosen.domains))
    world.check()


def walk(choose: Choose, steps: int = 60) -> LifeWorld:
    """Let many things happen, then bring the worker to rest."""
    world = LifeWorld(choose_policy(choose))
    for _ in range(steps):
        move(world, choose)
    world.end()
    return world
