"""Keys take turns at a model, whatever they send and in whatever order."""

from collections import Counter
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from mlxd.protocol.lifecycle import WorkerState
from mlxd.supervisor.scheduling.scheduler import (
    Grant,
    ModelView,
    Snapshot,
    Waiting,
    decide,
    in_line,
)
from mlxd.supervisor.scheduling.turns import Shared
from mlxd.supervisor.urgency import Priority

MODELS, KEYS = ("m", "n"), ("a", "b", "c")
waiting = st.builds(
    Waiting,
    ticket=st.just(0),
    model_id=st.sampled_from(MODELS),
    arrived_at=st.just(0.0),
    priority=st.sampled_from(tuple(Priority)),
    tenant=st.sampled_from(KEYS),
)
queues = st.lists(waiting, max_size=20).map(
    lambda queue: [replace(w, ticket=n, arrived_at=float(n)) for n, w in enumerate(queue)]
)
shares = st.builds(
    Shared,
    st.dictionaries(st.sampled_from(KEYS), st.integers(1, 5)),
    st.dictionaries(st.sampled_from(KEYS), st.integers(1, 50)),
)


def ready(queue: list[Waiting], shared: Shared, slots: int | None = None) -> Snapshot:
    """Return a snapshot in which both models are ready."""
    leases = sum(shared.running.values())
    view = ModelView(WorkerState.READY, leases=leases, shared=shared, slots=slots)
    return Snapshot(now=100.0, models=dict.fromkeys(MODELS, view), queue=queue)


@given(queues, shares)
def test_turns_change_neither_whose_model_is_next_nor_the_priorities(
    queue: list[Waiting], shared: Shared
) -> None:
    by_arrival = sorted(queue, key=lambda w: w.priority)
    turns = in_line(ready(queue, shared))
    assert sorted(turns, key=lambda w: w.ticket) == queue
    assert [(w.model_id, w.priority) for w in turns] == [
        (w.model_id, w.priority) for w in by_arrival
    ]


@given(queues, shares)
def test_what_one_key_sends_for_a_model_stays_in_its_order(
    queue: list[Waiting], shared: Shared
) -> None:
    turns = in_line(ready(queue, shared))
    for model in MODELS:
        for key in KEYS:
            own = [w for w in turns if (w.model_id, w.tenant) == (model, key)]
            assert own == sorted(own, key=lambda w: (w.priority, w.ticket))


@given(queues, shares)
def test_one_key_alone_is_served_in_the_order_of_arrival(
    queue: list[Waiting], shared: Shared
) -> None:
    alone = [replace(w, tenant="a") for w in queue]
    assert in_line(ready(alone, shared)) == sorted(alone, key=lambda w: w.priority)


@given(queues, shares, st.integers(1, 8))
def test_no_key_gets_more_of_a_model_than_one_that_still_waits_for_it(
    queue: list[Waiting], shared: Shared, slots: int
) -> None:
    queue = [replace(w, model_id="m", priority=Priority.NORMAL) for w in queue]
    snapshot = ready(queue, shared, slots)
    tickets = [action.ticket for action in decide(snapshot) if isinstance(action, Grant)]
    free = max(0, slots - sum(shared.running.values()))
    assert len(tickets) == min(free, len(queue))
    got = Counter(queue[ticket].tenant for ticket in tickets)
    has = got + Counter(shared.running)
    for w in queue:
        if w.ticket not in tickets:
            assert all(has[w.tenant] + 1 >= has[other] for other in got)


@given(st.lists(st.sampled_from(KEYS), min_size=1, max_size=30), st.integers(1, 4))
def test_the_next_turn_of_a_key_is_never_more_than_a_round_away(
    senders: list[str], slots: int
) -> None:
    """Given keys that flood a model, when it answers one request after another, then nobody is passed twice."""
    queue = [Waiting(n, "m", float(n), tenant=key) for n, key in enumerate(senders)]
    running: list[str] = []
    served: dict[str, int] = {}
    passed: Counter[tuple[str, str]] = Counter()
    number = 0
    while queue:
        shared = Shared(Counter(running), served)
        grants = [a for a in decide(ready(queue, shared, slots)) if isinstance(a, Grant)]
        for grant in grants:
            (chosen,) = (w for w in queue if w.ticket == grant.ticket)
            queue.remove(chosen)
            running.append(chosen.tenant)
            number += 1
            served[chosen.tenant] = number
            for other in {w.tenant for w in queue} - {chosen.tenant}:
                passed[other, chosen.tenant] += 1
                assert passed[other, chosen.tenant] <= slots + 1
            for key in KEYS:
                passed[chosen.tenant, key] = 0
        running.pop(0)
