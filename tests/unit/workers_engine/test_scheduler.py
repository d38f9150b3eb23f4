"""Which rows join, which go back, and which prompt tokens the next step reads."""

import pytest

from mlxd.workers.engine import scheduler
from mlxd.workers.engine.scheduler import Bounds, CacheShape, Queues, RowView, Slice

KILOBYTE_A_TOKEN = CacheShape(growing=((1024, None),))


def row(uid: int, to_prefill: int = 0, expected: int = 100) -> RowView:
    return RowView(uid, to_prefill, expected)


def rows(*to_prefill: int) -> tuple[RowView, ...]:
    return tuple(row(uid, left) for uid, left in enumerate(to_prefill, 1))


NOBODY: frozenset[int] = frozenset()


def test_a_batch_weighs_rows_times_its_longest_row_in_whole_blocks() -> None:
    bounds = Bounds(8, KILOBYTE_A_TOKEN)
    assert scheduler.weight(3, 300, bounds) == 3 * 512 * 1024


def test_a_sliding_window_weighs_no_more_than_its_window() -> None:
    shape = CacheShape(fixed=10, growing=((2, None), (3, 64)))
    assert shape.row_bytes(1000) == 10 + 2 * 1024 + 3 * 64


def test_rows_join_in_order_until_the_batch_is_full() -> None:
    assert scheduler.admissions(rows(1, 1, 1), rows(0, 0), Bounds(4)) == 2


def test_a_row_too_heavy_for_now_holds_back_those_behind_it() -> None:
    bounds = Bounds(8, KILOBYTE_A_TOKEN, cache_budget=4 << 20)
    waiting = (row(2, 0, 3000), row(3, 0, 10))
    assert scheduler.admissions(waiting, (row(1, 0, 100),), bounds) == 0
    assert scheduler.admissions(waiting[1:], (row(1, 0, 100),), bounds) == 1


def test_a_row_that_fits_nowhere_runs_alone() -> None:
    bounds = Bounds(8, KILOBYTE_A_TOKEN, cache_budget=1)
    assert scheduler.admissions((row(1, 0, 9000), row(2)), (), bounds) == 1


def test_the_youngest_rows_go_back_when_the_others_have_no_room_to_grow() -> None:
    bounds = Bounds(8, KILOBYTE_A_TOKEN, cache_budget=2 << 20)
    running = (row(5, 0, 900), row(2, 0, 900), row(9, 0, 900))
    assert scheduler.preemptions(running, bounds) == (9,)
    assert scheduler.preemptions(running[:2], bounds) == ()
    assert scheduler.preemptions((row(1, 0, 10**6),), bounds) == ()


def test_a_row_that_went_back_does_not_join_again_at_once() -> None:
    bounds = Bounds(8, KILOBYTE_A_TOKEN, cache_budget=2 << 20)
    running = [row(uid, 0, 1024) for uid in (1, 2, 3)]
    (gone,) = scheduler.preemptions(running, bounds)
    staying = [item for item in running if item.uid != gone]
    assert scheduler.admissions((row(gone, 900, 1023),), staying, bounds) == 0


def test_a_row_does_not_join_where_it_would_soon_be_sent_back() -> None:
    bounds = Bounds(8, KILOBYTE_A_TOKEN, cache_budget=2 << 19)
    waiting, running = (row(2, 0, 100),), (row(1, 0, 510),)
    assert not scheduler.is_overgrown(2, 510, bounds)
    assert scheduler.admissions(waiting, running, bounds) == 0
    assert scheduler.admissions(waiting, (row(1, 0, 250),), bounds) == 1


def test_a_plan_that_sends_rows_back_admits_none() -> None:
    bounds = Bounds(8, KILOBYTE_A_TOKEN, cache_budget=2 << 20)
    decoding = tuple(row(uid, 0, 1024) for uid in (1, 2, 3))
    plan = scheduler.plan(Queues(waiting=(row(7, 5),), decoding=decoding), bounds, None)
    assert (plan.preempt, plan.admit) == ((3,), 0)


@pytest.mark.parametrize(
    ("decoding", "pace", "expected"),
    [
        (False, None, 512),
        (True, None, 512),
        (False, 1e9, 2048),
        (True, 1e9, 512),
        (True, 1, 64),
        (False, 1, 128),
        (True, 1000, 100),
        (False, 1000, 1000),
    ],
)
def test_a_slice_is_what_can_be_read_while_running_rows_wait(
    decoding: bool, pace: float | None, expected: int
) -> None:
    assert scheduler.slice_size(decoding, pace) == expected


def test_a_single_prompt_gets_the_whole_slice() -> None:
    assert scheduler.slices(rows(5000), NOBODY, 512) == (Slice((1,), 512),)
    assert scheduler.slices(rows(100), NOBODY, 512) == (Slice((1,), 100),)


def test_short_prompts_are_read_side_by_side() -> None:
    assert scheduler.slices(rows(20, 30, 10), NOBODY, 512) == (Slice((1, 3, 2), 30),)


def test_a_short_prompt_does_not_wait_behind_a_long_one() -> None:
    assert scheduler.slices(rows(60_000, 20), NOBODY, 512) == (Slice((2,), 20), Slice((1,), 492))


def test_the_oldest_prompt_keeps_half_of_the_slice_whatever_comes() -> None:
    pieces = scheduler.slices(rows(60_000, *[100] * 20), frozenset({1}), 512)
    assert pieces == (Slice((2, 3), 100), Slice((1,), 312))


def test_two_long_prompts_share_the_slice() -> None:
    assert scheduler.slices(rows(60_000, 4000), NOBODY, 512) == (Slice((1,), 256), Slice((2,), 256))


def test_a_prompt_that_was_begun_is_read_alone() -> None:
    pieces = scheduler.slices(rows(20, 30), frozenset({1}), 512)
    assert pieces == (Slice((2,), 30), Slice((1,), 20))


def test_padding_counts_against_the_slice() -> None:
    assert scheduler.slices(rows(10, 200, 200), NOBODY, 512) == (Slice((1, 2), 200),)
