"""The property tests notice when a law is broken: each mutant below must fail them.

A mutant that survives means that the world of the test helps the code along (style.md §3.4).
"""

from collections.abc import Callable
from types import ModuleType

import pytest
from support.choices import Seeded
from support.life_moves import walk
from support.mutants import mutated
from support.worlds import choose_world

from mlxd.supervisor.lifecycle import lifecycle, watchdog
from mlxd.supervisor.scheduling import eviction, scheduler


def live() -> None:
    """Walk through the lifecycle, always the same ways."""
    for seed in range(4000):
        walk(Seeded(seed))


def schedule() -> None:
    """Run the scheduler's worlds, always the same ones."""
    for seed in range(2000):
        choose_world(Seeded(seed)).run()


LIFECYCLE = {
    "a late hello starts the load again": (
        "case HelloReceived() if life.state is S.STARTING:",
        "case HelloReceived() if life.state in (S.STARTING, S.LOADING):",
    ),
    "progress does not count": (
        "return replace(life, progress_at=now), ()",
        "return life, ()",
    ),
    "the idle clock starts with the request": (
        "life = replace(life, leases=life.leases - 1, idle_since=now,",
        "life = replace(life, leases=life.leases - 1,",
    ),
    "a draining worker with requests is stopped": (
        "return _stop(life, now) if life.leases == 0 else (life, ())",
        "return _stop(life, now)",
    ),
    "the last request of a draining worker does not stop it": (
        "if life.state is S.DRAINING and life.leases == 0:",
        "if life.state is S.DRAINING and life.leases == 1:",
    ),
    "a stop forgets the requests in flight": (
        "return _move(life, S.STOPPING, now, leases=0), (FailLeases(cause), ask)",
        "return _move(life, S.STOPPING, now, leases=0), (ask,)",
    ),
    "an exit forgets the requests in flight": (
        "effects = (FailLeases(error),) if life.leases else ()",
        "effects = ()",
    ),
    "force does not hurry a draining worker": (
        "if life.state is S.DRAINING and event.force:",
        "if life.state is S.DRAINING and event.bounded and event.force:",
    ),
    "a second bounded stop puts the end off": (
        "return replace(life, drain_by=min(life.drain_by, now + policy.drain_timeout)), ()",
        "return replace(life, drain_by=now + policy.drain_timeout), ()",
    ),
    "a stuck worker is let off as stopped": (
        "replace(life, stop_reason=StopReason.STEP_STALLED, error=error)",
        "replace(life, error=error)",
    ),
    "SIGKILL comes without SIGTERM": (
        "return replace(life, terminated_at=now), (Terminate(),)",
        "return replace(life, terminated_at=now), (Kill(),)",
    ),
    "SIGTERM is sent again and again": (
        "return replace(life, killed=True), (Kill(),)",
        "return life, (Kill(),)",
    ),
    "the back-off never doubles": (
        "failures = 1 if life.served or was_stable else life.failures + 1",
        "failures = 1",
    ),
    "a served request does not end the row of failures": (
        "failures = 1 if life.served or was_stable else life.failures + 1",
        "failures = 1 if was_stable else life.failures + 1",
    ),
    "a stable run does not end the row of failures": (
        "failures = 1 if life.served or was_stable else life.failures + 1",
        "failures = 1 if life.served else life.failures + 1",
    ),
    "the back-off has no cap": (
        "wait = min(policy.backoff * 2.0 ** min(delays - 1, _DOUBLINGS), policy.backoff_max)",
        "wait = policy.backoff * 2.0 ** min(delays - 1, _DOUBLINGS)",
    ),
    "a worker that reported its failure goes on": (
        "return _stop(replace(life, stop_reason=StopReason.POISONED), now)",
        "return life, ()",
    ),
    "a new process inherits that the last one served": (
        "terminated_at=math.inf, killed=False, served=False, error=None,",
        "terminated_at=math.inf, killed=False, error=None,",
    ),
    "keep_alive is ignored": (
        "kept = life.idle_timeout if event.idle_timeout is None else event.idle_timeout",
        "kept = life.idle_timeout",
    ),
    "clients that come back hide a stuck worker": (
        "progress_at = life.progress_at if _owes_a_step(life) else now",
        "progress_at = life.progress_at if _owes_a_step(life) and life.leases else now",
    ),
    "work hides a stuck worker": (
        "progress_at = life.progress_at if _owes_a_step(life) else now",
        "progress_at = now",
    ),
    "a beat without a step counts as progress": (
        "progress_at=life.progress_at if stuck else now,",
        "progress_at=now,",
    ),
    "a slow reader's worker counts as stuck": (
        "return life.rows > 0 or life.expecting > 0",
        "return life.leases > 0",
    ),
    "what never reached the engine is owed for ever": (
        "expecting=min(life.leases - 1, life.expecting - (not event.seen))",
        "expecting=min(life.leases - 1, life.expecting)",
    ),
    "a timer of another state is obeyed": (
        "case TimeUp(state=state) if state is life.state:",
        "case TimeUp():",
    ),
}

WATCHDOG = {
    "no wait for hello ends": ("return life.since + policy.hello_timeout", "return math.inf"),
    "the load's clock counts from its start": (
        "return life.progress_at + policy.load_stall",
        "return life.since + policy.load_stall",
    ),
    "a pinned worker idles out": (
        "idle = not life.leases and not life.pinned",
        "idle = not life.leases",
    ),
    "a busy worker idles out": (
        "idle = not life.leases and not life.pinned",
        "idle = not life.pinned",
    ),
    "a stuck worker is not noticed": (
        "return min(idle_out, stalled_at(life, policy))",
        "return idle_out",
    ),
    "a drain has no end": (
        "return min(life.drain_by, stalled_at(life, policy))",
        "return stalled_at(life, policy)",
    ),
    "SIGTERM comes at once": ("return life.since + policy.ask_grace", "return life.since"),
    "SIGKILL does not wait for SIGTERM's grace": (
        "return life.terminated_at + policy.kill_grace",
        "return life.since + policy.ask_grace + policy.kill_grace",
    ),
    "due is early": ("if now >= deadline(life, policy)", "if now >= deadline(life, policy) - 1"),
    "due is late": ("if now >= deadline(life, policy)", "if now > deadline(life, policy)"),
}


SCHEDULER = {
    "a draining model is granted": (
        "if view.state is S.READY:\n            if view.slots",
        "if view.state in (S.READY, S.DRAINING):\n            if view.slots",
    ),
    "a request in back-off waits": (
        "elif view.state is S.BACKOFF and snapshot.now < view.retry_at:",
        "elif view.state is S.BACKOFF and snapshot.now > view.retry_at:",
    ),
    "a model is started twice": (
        "elif view.state in (S.STOPPED, S.BACKOFF):\n            cold",
        "elif view.state in (S.STOPPED, S.BACKOFF, S.STARTING):\n            cold",
    ),
    "no start after a failure": (
        "elif view.state in (S.STOPPED, S.BACKOFF):\n            cold",
        "elif view.state is S.STOPPED:\n            cold",
    ),
    "those that leave take no place": (
        "held = _held_by(snapshot, ALIVE)",
        "held = _held_by(snapshot, ALIVE - _LEAVING)",
    ),
    "one more than allowed": (
        "slots = snapshot.max_loaded - held.slots if",
        "slots = snapshot.max_loaded + 1 - held.slots if",
    ),
    "a place is given away twice": (
        "now, soon, later = now - need, soon - need, later - need",
        "soon, later = soon - need, later - need",
    ),
    "another victim for each decision": (
        "soon = now + _held_by(snapshot, frozenset({S.STOPPING}))",
        "soon = now",
    ),
    "another busy victim for each decision": (
        "later = soon + _held_by(snapshot, frozenset({S.DRAINING}))",
        "later = soon",
    ),
    "a request waits behind a drain for ever": (
        "return choose(residents, need.beyond(soon)) if overdue else []",
        "return []",
    ),
    "the budget does not matter": (
        "None else snapshot.budget_bytes - held.bytes",
        "None else _NO_LIMIT",
    ),
    "what others have taken of the budget does not matter": (
        "None else snapshot.budget_bytes - held.bytes",
        "None else snapshot.budget_bytes",
    ),
    "what the machine has left does not matter": (
        "None else snapshot.available_bytes",
        "None else _NO_LIMIT",
    ),
    "it starts before the memory is back": (
        "        if need.fits_in(now):\n            actions.append(Start(model_id))",
        "        if need.fits_in(soon):\n            actions.append(Start(model_id))",
    ),
    "what a start takes is not counted": (
        "now, soon, later = now - need, soon - need, later - need",
        "pass",
    ),
    "a model larger than all there is waits": (
        "return Refusal.TOO_LARGE if need.bytes > best.bytes else None",
        "return None",
    ),
    "what fits after a swap is refused": (
        "return Refusal.TOO_LARGE if need.bytes > best.bytes else None",
        "return Refusal.TOO_LARGE",
    ),
    "nobody is refused where all are pinned": ("if reason is not None:", "if False:"),
    "a pinned worker that leaves counts as staying": (
        "if view.state in _LEAVING or (view.state in ALIVE and not view.pinned)",
        "if view.state in ALIVE and not view.pinned",
    ),
    "a busy worker is evicted before anybody has waited": (
        "    if overdue:\n        return choose_to_yield",
        "    if True:\n        return choose_to_yield",
    ),
    "a hot model never yields": (
        "    if overdue:\n        return choose_to_yield",
        "    if False:\n        return choose_to_yield",
    ),
    "one victim for two": (
        "residents = [r for r in residents if r.model_id not in victims]",
        "pass",
    ),
    "no wake for the wait": (
        "return min((t for t in times if t > snapshot.now), default=math.inf)",
        "return math.inf",
    ),
    "the wake is only for the last": (
        "return min((t for t in times if t > snapshot.now), default=math.inf)",
        "return max((t for t in times if t > snapshot.now), default=math.inf)",
    ),
    "no wake for a model that had failed": (
        "        if snapshot.models[waiting.model_id].state in (S.STOPPED, S.BACKOFF)\n    ]",
        "        if snapshot.models[waiting.model_id].state is S.STOPPED\n    ]",
    ),
}

LINE = {
    "the line knows no priority": (
        "return Priority.HIGH if is_overdue else waiting.priority",
        "return Priority.HIGH",
    ),
    "the least urgent goes first": (
        "return Priority.HIGH if is_overdue else waiting.priority",
        "return Priority.HIGH if is_overdue else -waiting.priority",
    ),
    "low priority waits for ever": (
        "return Priority.HIGH if is_overdue else waiting.priority",
        "return waiting.priority",
    ),
    "who has waited too long goes last": (
        "return Priority.HIGH if is_overdue else waiting.priority",
        "return Priority.LOW if is_overdue else waiting.priority",
    ),
    "the last to come goes first": (
        "key=lambda entry: entry[0])",
        "key=lambda entry: (entry[0], -entry[1].ticket))",
    ),
    "grants follow the arrival": (
        "for waiting in in_line(snapshot):",
        "for waiting in snapshot.queue:",
    ),
}

EVICTION = {
    "a busy worker is chosen": (
        "if not r.leases and not r.pinned and not r.waited_for]",
        "if not r.pinned and not r.waited_for]",
    ),
    "a pinned worker is chosen": (
        "if not r.leases and not r.pinned and not r.waited_for]",
        "if not r.leases and not r.waited_for]",
    ),
    "a worker that was just granted is chosen": (
        "if not r.leases and not r.pinned and not r.waited_for]",
        "if not r.leases and not r.pinned]",
    ),
    "the most recently used goes": (
        "idle.sort(key=lambda r: (r.idle_since, r.model_id))",
        "idle.sort(key=lambda r: (-r.idle_since, r.model_id))",
    ),
    "a pinned worker yields": ("if not r.pinned]\n    movable", "]\n    movable"),
    "some go though all would not be enough": (
        "    if not short.fits_in(_room(taken)):\n        return []\n",
        "",
    ),
    "more go than need": ("            taken = rest", "            pass"),
    "bytes are not counted": (
        "return Room(len(residents), sum(r.held_bytes for r in residents))",
        "return Room(len(residents), 1 << 40)",
    ),
    "a busy worker yields before an idle one": (
        "key=lambda r: (r.leases > 0 or r.waited_for, r.idle_since, r.model_id)",
        "key=lambda r: (r.idle_since, r.model_id)",
    ),
    "a worker that was just granted yields before an idle one": (
        "key=lambda r: (r.leases > 0 or r.waited_for, r.idle_since, r.model_id)",
        "key=lambda r: (r.leases > 0, r.idle_since, r.model_id)",
    ),
}


def survives(module: ModuleType, change: tuple[str, str], hunt: Callable[[], None]) -> bool:
    """Tell whether the hunt finds nothing wrong with the changed module."""
    with mutated(module, *change):
        try:
            hunt()
        except Exception:
            return False
    return True


@pytest.mark.parametrize("hunt", [live, schedule])
def test_the_hunt_finds_nothing_in_the_code_as_it_is(hunt: Callable[[], None]) -> None:
    hunt()


@pytest.mark.parametrize("name", LIFECYCLE)
def test_a_mutant_of_the_lifecycle_is_caught(name: str) -> None:
    assert not survives(lifecycle, LIFECYCLE[name], live)


@pytest.mark.parametrize("name", WATCHDOG)
def test_a_mutant_of_the_watchdog_is_caught(name: str) -> None:
    assert not survives(watchdog, WATCHDOG[name], live)


@pytest.mark.parametrize("name", SCHEDULER)
def test_a_mutant_of_the_scheduler_is_caught(name: str) -> None:
    assert not survives(scheduler, SCHEDULER[name], schedule)


@pytest.mark.parametrize("name", LINE)
def test_a_mutant_of_the_line_is_caught(name: str) -> None:
    assert not survives(scheduler, LINE[name], schedule)


@pytest.mark.parametrize("name", EVICTION)
def test_a_mutant_of_the_eviction_is_caught(name: str) -> None:
    assert not survives(eviction, EVICTION[name], schedule)
