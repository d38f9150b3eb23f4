"""Rows that continue the same prompt read it once, and each gets the tokens it gets by itself."""

from dataclasses import replace

import pytest
from support.engine_rig import GREEDY, Failing, Rig, alone, lane, prompt, remembering, request

from mlxd.workers.engine.request import GenerateRequest, Sampling

KINDS = ("qwen3", "gemma3", "hybrid", "mamba2")


def choices(count: int, length: int = 400, tokens: int = 8) -> list[GenerateRequest]:
    """Return what `n` asks for: one prompt, seeds one apart."""
    first = request(prompt(length, 1), tokens, Sampling(seed=5))
    return [
        replace(first, sampling=replace(first.sampling, seed=5 + place)) for place in range(count)
    ]


def check(rig: Rig, uids: list[int], asked: list[GenerateRequest]) -> None:
    for uid, item in zip(uids, asked, strict=True):
        assert rig.error(uid) is None
        assert rig.tokens(uid) == alone(rig.lane, item)


@pytest.mark.parametrize("kind", KINDS)
def test_four_answers_to_one_prompt_read_it_once(kind: str) -> None:
    rig, asked = Rig(lane(kind)), choices(4)
    uids = rig.submit(*asked)
    rig.finish()
    check(rig, uids, asked)
    assert rig.stats().prompt_tokens == 399


def test_two_thousand_tokens_are_read_once_and_not_four_times() -> None:
    rig, asked = Rig(lane("qwen3")), choices(4, length=2000, tokens=2)
    uids = rig.submit(*asked)
    rig.finish()
    assert rig.stats().prompt_tokens == 1999
    assert all(len(rig.tokens(uid)) == 2 for uid in uids)


@pytest.mark.parametrize("steps", [1, 2, 3, 5])
def test_one_that_comes_later_borrows_what_was_read(steps: int) -> None:
    rig, asked = Rig(lane("qwen3")), choices(3, length=900, tokens=30)
    uids = rig.submit(asked[0])
    for item in asked[1:]:
        rig.step(steps)
        uids += rig.submit(item)
    rig.finish()
    check(rig, uids, asked)
    assert rig.stats().prompt_tokens == 899


@pytest.mark.parametrize("kind", ["qwen3", "hybrid"])
@pytest.mark.parametrize("leaves", [0, 1, 3])
def test_any_of_them_may_leave_while_the_prompt_is_read(kind: str, leaves: int) -> None:
    rig, asked = Rig(lane(kind)), choices(4, length=1500)
    uids = rig.submit(*asked)
    rig.step(1)
    rig.cancel(uids[leaves])
    rig.finish()
    del asked[leaves], uids[leaves]
    check(rig, uids, asked)
    assert rig.stats().prompt_tokens == 1499
    assert rig.stats().cancelled == 1


def test_all_may_leave_and_nothing_is_left() -> None:
    rig, asked = Rig(lane("qwen3")), choices(4, length=1500)
    uids = rig.submit(*asked)
    rig.step(1)
    for uid in uids:
        rig.cancel(uid)
    rig.step()
    assert rig.loop.rows == 0
    later = rig.submit(*asked)
    rig.finish()
    check(rig, later, asked)


def test_a_prompt_that_cannot_be_read_fails_all_that_continue_it_and_nobody_else() -> None:
    model, poison = lane("qwen3"), 1000
    rig = Rig(model, model=Failing(model.model, lambda tokens: bool((tokens == poison).any())))
    clean = prompt(300, 1, vocab=poison)
    bad = request((*clean, poison, *clean), 4)
    uids = rig.submit(*[bad] * 3)
    (other,) = rig.submit(request(clean, 4))
    rig.finish()
    assert all(rig.error(uid) is not None for uid in uids)
    assert rig.stats().failed == 3
    assert rig.tokens(other) == alone(model, request(clean, 4))


def test_one_whose_reading_fails_once_leaves_the_others_to_begin_again() -> None:
    model, fail_now = lane("qwen3"), [True]
    rig = Rig(model, model=Failing(model.model, lambda tokens: bool(fail_now and fail_now.pop())))
    asked = choices(3, length=100)
    uids = rig.submit(*asked)
    rig.finish()
    assert rig.error(uids[0]) is not None
    for uid, item in zip(uids[1:], asked[1:], strict=True):
        assert rig.tokens(uid) == alone(model, item)


def test_a_row_of_another_prompt_and_another_request_shares_nothing() -> None:
    rig, asked = Rig(lane("qwen3")), choices(2, length=100)
    again = replace(asked[0], prompt=(*asked[0].prompt[:-1], asked[0].prompt[-1]))
    tenant = replace(asked[0], tenant="other")
    uids = rig.submit(*asked, again, tenant)
    rig.finish()
    check(rig, uids, [*asked, again, tenant])
    assert rig.stats().prompt_tokens == 3 * 99


def test_where_they_do_not_all_fit_the_others_borrow_when_it_is_their_turn() -> None:
    model = lane("qwen3", max_batch=2)
    rig, asked = Rig(model), [*choices(4, length=300, tokens=6)]
    asked[1] = replace(asked[1], max_tokens=20)
    uids = rig.submit(*asked)
    rig.finish()
    check(rig, uids, asked)
    assert rig.stats().prompt_tokens == 299


def test_rows_sent_back_for_room_come_to_the_same_answers() -> None:
    model = lane("qwen3")
    asked = choices(3, length=250, tokens=280)
    budget = 2 * model.bounds.cache_shape.row_bytes(512)
    bounds = replace(model.bounds, growth=1, cache_budget=budget)
    rig = Rig(model, bounds=bounds)
    uids = rig.submit(*asked)
    rig.finish()
    assert rig.stats().preempted > 0
    check(rig, uids, asked)


def test_with_a_prompt_cache_the_prompt_is_read_once_too_and_counted_as_new() -> None:
    model = lane("qwen3")
    rig, asked = Rig(model, remembering(model)), choices(4)
    uids = rig.submit(*asked)
    rig.finish()
    check(rig, uids, asked)
    assert rig.stats().prompt_tokens == 399
    assert [rig.cached(uid) for uid in uids] == [0] * 4
    later = rig.submit(*asked)
    rig.finish()
    check(rig, later, asked)
    assert rig.stats().prompt_tokens == 399
    assert [rig.cached(uid) for uid in later] == [399] * 4


def test_greedy_answers_are_all_the_same() -> None:
    rig = Rig(lane("gpt_oss"))
    item = request(prompt(200, 2), 10, GREEDY)
    uids = rig.submit(*[item] * 4)
    rig.finish()
    assert {tuple(rig.tokens(uid)) for uid in uids} == {tuple(alone(lane("gpt_oss"), item))}
