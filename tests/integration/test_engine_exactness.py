"""A row's tokens depend on the row alone, whoever shares the batch (promises E1, E3, E4)."""

import random
from collections.abc import Sequence
from dataclasses import replace

import pytest
from support.engine_rig import GREEDY, Rig, alone, lane, prompt, request

from mlxd.workers.engine.request import GenerateRequest, Sampling

KINDS = ("qwen3", "llama", "gemma3", "gpt_oss", "hybrid", "mamba2")
"""Full attention, sliding windows, sinks and experts, linear attention, state space."""
LENGTHS = (1, 2, 5, 30, 70, 140, 300, 600)
MIXED = (
    GREEDY,
    Sampling(seed=1),
    Sampling(temperature=0.7, top_p=0.9, seed=2**40 + 1),
    Sampling(temperature=0.6, top_p=0.95, top_k=20, seed=3),
    Sampling(temperature=0.9, min_p=0.05, seed=4),
    Sampling(temperature=0.8, repetition_penalty=1.3, seed=5),
    Sampling(presence_penalty=0.6, frequency_penalty=0.4, seed=6),
    Sampling(temperature=1.2, logit_bias={7: 5.0, 8: -100.0}, seed=7),
    Sampling(temperature=0, repetition_penalty=1.2, frequency_penalty=0.3),
)


def requests(seed: int, count: int, samplings: Sequence[Sampling]) -> list[GenerateRequest]:
    draw = random.Random(seed)
    return [
        request(
            prompt(draw.choice(LENGTHS), 1000 * seed + i),
            draw.choice((1, 2, 6, 15)),
            draw.choice(samplings),
        )
        for i in range(count)
    ]


def run_at_random(rig: Rig, todo: list[GenerateRequest], seed: int) -> dict[int, bool]:
    """Let requests come and leave at any time; return for each row whether it was cancelled."""
    draw, gone = random.Random(seed), dict[int, bool]()
    todo = list(todo)
    while todo or rig.loop.rows:
        for _ in range(draw.randrange(3) if todo else 0):
            if todo:
                gone[rig.submit(todo.pop(0))[0]] = False
        if gone and draw.random() < 0.06:
            uid = draw.choice(list(gone))
            gone[uid] = gone[uid] or rig.reason(uid) is None
            rig.cancel(uid)
        rig.step()
    return gone


@pytest.mark.parametrize("kind", KINDS)
def test_rows_that_come_and_go_get_the_tokens_they_get_alone(kind: str) -> None:
    model = lane(kind)
    rig, asked = Rig(model), requests(1, 10, MIXED)
    cancelled = run_at_random(rig, asked, seed=1)
    for (uid, gone), item in zip(cancelled.items(), asked, strict=True):
        expected = alone(model, item)
        assert rig.tokens(uid) == (expected[: len(rig.tokens(uid))] if gone else expected)


@pytest.mark.parametrize("seed", range(2, 8))
def test_many_random_schedules_of_one_model(seed: int) -> None:
    model = lane("qwen3", max_batch=5)
    rig, asked = Rig(model), requests(seed, 14, MIXED)
    cancelled = run_at_random(rig, asked, seed)
    for (uid, gone), item in zip(cancelled.items(), asked, strict=True):
        expected = alone(model, item)
        assert rig.tokens(uid) == (expected[: len(rig.tokens(uid))] if gone else expected)
    assert rig.stats().cancelled == sum(cancelled.values())


@pytest.mark.parametrize("sampling", MIXED)
def test_a_seed_gives_the_same_text_alone_twice_and_in_a_batch(sampling: Sampling) -> None:
    model, item = lane("qwen3"), request(prompt(40, 1), 12, sampling)
    others = [request(prompt(20 + i, i), 40, Sampling()) for i in range(5)]
    first = alone(model, item)
    assert alone(model, item) == first
    rig = Rig(model)
    rig.submit(*others)
    rig.step(7)
    (uid,) = rig.submit(item)
    rig.finish()
    assert rig.tokens(uid) == first


def test_another_seed_gives_another_text_and_no_seed_a_new_one_each_time() -> None:
    model = lane("qwen3")
    texts = {
        tuple(alone(model, request(prompt(9, 1), 12, Sampling(seed=seed))))
        for seed in (1, 2, 2**32 + 1, None, None)
    }
    assert len(texts) == 5


def test_the_first_token_follows_the_rows_own_parameters_too() -> None:
    model = lane("qwen3")
    ban = Sampling(temperature=0, logit_bias={alone(model, request(prompt(9, 1), 1))[0]: -100.0})
    force = Sampling(logit_bias={77: 100.0})
    rig = Rig(model)
    banned, forced = rig.submit(request(prompt(9, 1), 1, ban), request(prompt(9, 1), 1, force))
    rig.finish()
    assert rig.tokens(banned) != alone(model, request(prompt(9, 1), 1))
    assert rig.tokens(forced) == [77]


def test_a_row_sent_back_for_room_goes_on_as_if_nothing_had_happened() -> None:
    model = lane("qwen3")
    penalised = Sampling(seed=2, repetition_penalty=1.2, frequency_penalty=0.1)
    asked = [request(prompt(250, 1), 280), request(prompt(250, 2), 280, penalised)]
    late = request(prompt(5, 3), 2)
    budget = 2 * model.bounds.cache_shape.row_bytes(512)
    bounds = replace(model.bounds, growth=1, cache_budget=budget)
    rig = Rig(model, bounds=bounds)
    uids = rig.submit(*asked)
    rig.step(10)
    (last,) = rig.submit(late)
    while not rig.stats().preempted:
        rig.step()
    rig.finish()
    ended = rig.hand_overs_of(uids[1])[-1]
    assert ended < rig.hand_overs_of(last)[0], "the row sent back goes first"
    for uid, item in zip(uids, asked, strict=True):
        assert rig.tokens(uid) == alone(model, item)
