"""Whatever rows come and go, the plan keeps its bounds and nobody starves."""

from hypothesis import given
from hypothesis import strategies as st

from mlxd.workers.engine import scheduler
from mlxd.workers.engine.scheduler import Bounds, CacheShape, Queues, RowView

lengths = st.integers(1, 100_000)
shapes = st.builds(
    CacheShape,
    fixed=st.integers(0, 10_000),
    growing=st.lists(
        st.tuples(st.integers(1, 4096), st.none() | st.integers(1, 4096)), max_size=3
    ).map(tuple),
)
bounds = st.builds(
    Bounds,
    max_batch=st.integers(1, 64),
    cache_shape=shapes,
    cache_budget=st.none() | st.integers(0, 1 << 30),
)


@st.composite
def queues(draw: st.DrawFn) -> Queues:
    groups = draw(st.tuples(*[st.lists(st.tuples(lengths, lengths), max_size=8)] * 3))
    uids = iter(range(1, 100))
    decoding, prefilling, waiting = (
        tuple(RowView(next(uids), left, left + more) for left, more in group) for group in groups
    )
    started = draw(st.frozensets(st.sampled_from([row.uid for row in prefilling] or [0])))
    return Queues(waiting, prefilling, decoding, started)


@given(queues(), bounds, st.none() | st.floats(1, 1e6))
def test_a_plan_keeps_every_bound(state: Queues, limit: Bounds, pace: float | None) -> None:
    plan = scheduler.plan(state, limit, pace)
    running = (*state.prefilling, *state.decoding)
    if plan.admit:
        assert len(running) + plan.admit <= limit.max_batch
    kept = [row for row in running if row.uid not in plan.preempt] + [*state.waiting[: plan.admit]]
    longest = max((row.expected for row in kept), default=0)
    assert not scheduler.is_overgrown(len(kept), longest, limit)
    budget = scheduler.slice_size(bool(state.decoding), pace)
    assert sum(len(piece.uids) * piece.tokens for piece in plan.slices) <= budget


@given(queues(), bounds, st.none() | st.floats(1, 1e6))
def test_slices_name_each_prompt_once_and_only_prompts_with_tokens_left(
    state: Queues, limit: Bounds, pace: float | None
) -> None:
    plan = scheduler.plan(state, limit, pace)
    named = [uid for piece in plan.slices for uid in piece.uids]
    prompts = {
        row.uid: row
        for row in (*state.prefilling, *state.waiting[: plan.admit])
        if row.uid not in plan.preempt
    }
    assert len(named) == len(set(named)) and set(named) <= set(prompts)
    for piece in plan.slices:
        assert piece.tokens > 0
        if len(piece.uids) > 1:
            assert not state.started & set(piece.uids)
            assert max(prompts[uid].to_prefill for uid in piece.uids) == piece.tokens
        else:
            assert piece.tokens <= prompts[piece.uids[0]].to_prefill


@given(st.lists(lengths, min_size=1, max_size=30), st.data(), st.integers(1, 4096))
def test_the_oldest_prompt_gets_half_of_every_slice_or_all_it_needs(
    lefts: list[int], data: st.DataObject, budget: int
) -> None:
    prompts = [RowView(uid, left, left) for uid, left in enumerate(lefts, 1)]
    started = data.draw(st.frozensets(st.integers(1, len(lefts))))
    pieces = scheduler.slices(prompts, started, budget)
    mine = sum(piece.tokens for piece in pieces if 1 in piece.uids)
    assert mine >= min(lefts[0], max(budget // 2, 1))


@given(queues(), bounds)
def test_a_queue_never_stands_still_while_nothing_runs(state: Queues, limit: Bounds) -> None:
    idle = Queues(waiting=state.waiting)
    assert bool(scheduler.plan(idle, limit, None).admit) == bool(state.waiting)


@given(queues(), bounds)
def test_the_oldest_row_is_never_sent_back(state: Queues, limit: Bounds) -> None:
    running = (*state.prefilling, *state.decoding)
    gone = scheduler.preemptions(running, limit)
    assert not running or min(row.uid for row in running) not in gone
    assert sorted(gone, reverse=True) == list(gone)
