"""Tokens guessed ahead come sooner, and nothing else about an answer changes."""

import random
from dataclasses import replace
from pathlib import Path
from typing import Literal

import mlx.core as mx
import pytest
from support import tiny_models
from support.engine_rig import GREEDY, Rig, alone, lane, prompt, remembering, request
from support.guessing import Prophet, guessing, outputs, with_draft, with_lookup
from support.seeing import picture, seeing

from mlxd.protocol.generation import KvCache
from mlxd.protocol.kinds import ModelKind
from mlxd.protocol.spec import WorkerSpec
from mlxd.workers.engine import batch as batches
from mlxd.workers.engine.inbox import Shrink
from mlxd.workers.engine.request import FinishReason, Sampling, TokenOutput
from mlxd.workers.engine.thinking_budget import ThinkingBudget
from mlxd.workers.kinds import text
from mlxd.workers.prompt_cache import caches

KINDS = ("qwen3", "llama", "gemma3")
SAMPLINGS = (
    GREEDY,
    Sampling(seed=1),
    Sampling(temperature=0.7, top_p=0.95, seed=2**40 + 1),
    Sampling(temperature=0.6, top_p=0.9, top_k=20, seed=3),
    Sampling(temperature=1.2, logit_bias={7: 5.0, 8: -100.0}, seed=7),
)
ANOTHER = ("--seed", "9")


def close(found: list[TokenOutput], expected: list[TokenOutput]) -> None:
    assert [o.token for o in found] == [o.token for o in expected]
    assert [o.finish_reason for o in found] == [o.finish_reason for o in expected]
    for mine, plain in zip(found, expected, strict=True):
        assert mine.logprob == pytest.approx(plain.logprob, abs=1e-4)
        assert [t for t, _ in mine.top_logprobs] == [t for t, _ in plain.top_logprobs]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_a_model_that_drafts_for_itself_saves_steps_and_changes_no_token(
    kind: str, sampling: Sampling
) -> None:
    item = request(prompt(30, 1), 40, sampling)
    plain, expected = outputs(lane(kind), item)
    rig, found = outputs(with_draft(kind, kind), item)
    close(found, expected)
    stats = rig.stats()
    assert stats.accepted == stats.speculated > 25
    assert stats.steps < plain.stats().steps / 3
    assert stats.generated_tokens == 40


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_a_draft_that_knows_nothing_changes_no_token_either(kind: str, sampling: Sampling) -> None:
    item = request(prompt(30, 2), 60, sampling)
    _, expected = outputs(lane(kind), item)
    rig, found = outputs(with_draft(kind, kind, *ANOTHER), item)
    close(found, expected)
    stats = rig.stats()
    assert stats.speculated > 0
    if not sampling.logit_bias:  # which makes any two models agree now and then
        assert stats.speculated < 60, "guessing went on although nothing came true"
        assert stats.accepted < stats.speculated / 2


@pytest.mark.parametrize("kind", KINDS)
def test_text_that_repeats_is_found_in_the_prompt(kind: str) -> None:
    item = request(prompt(5, 3) * 3, 40, replace(GREEDY, logit_bias={5: 30.0}))
    plain, expected = outputs(lane(kind), item)
    rig, found = outputs(with_lookup(kind), item)
    close(found, expected)
    assert rig.stats().accepted > 20
    assert rig.stats().steps < plain.stats().steps / 2


@pytest.mark.parametrize("wrong_every", [0, 1, 2, 3, 5])
@pytest.mark.parametrize("sampling", SAMPLINGS[:3])
def test_whatever_is_guessed_tokens_and_logprobs_stay_what_they_are(
    wrong_every: int, sampling: Sampling
) -> None:
    item = request(prompt(40, 4), 50, sampling, logprobs=4)
    _, expected = outputs(lane("qwen3"), item)
    answer = [output.token for output in expected]
    rig, found = outputs(guessing(lane("qwen3"), Prophet(answer, wrong_every)), item)
    close(found, expected)
    assert rig.stats().generated_tokens == 50


def test_while_several_rows_generate_nobody_guesses_and_the_last_one_left_does_again() -> None:
    model = with_draft("qwen3", "qwen3")
    first, second = request(prompt(30, 5), 60, SAMPLINGS[1]), request(prompt(9, 6), 12)
    rig = Rig(model)
    (one,) = rig.submit(first)
    while len(rig.tokens(one)) < 10:
        rig.step()
    (other,) = rig.submit(second)
    rig.step(3)
    before = rig.stats().speculated
    assert before > 0
    while rig.reason(other) is None:
        assert rig.stats().speculated == before
        rig.step()
    assert len(rig.tokens(one)) < 60
    rig.finish()
    assert rig.stats().speculated > before
    assert rig.tokens(one) == alone(lane("qwen3"), first)
    assert rig.tokens(other) == alone(lane("qwen3"), second)


@pytest.mark.parametrize("kind", ["qwen3", "gemma3"])
def test_rows_that_come_and_go_at_random_get_the_tokens_they_get_without_guesses(kind: str) -> None:
    draw = random.Random(7)
    asked = [
        request(prompt(draw.choice((1, 5, 40, 300)), i), draw.choice((1, 7, 25)), sampling)
        for i, sampling in enumerate((*SAMPLINGS, GREEDY, *SAMPLINGS[1:3]))
    ]
    draft = with_draft(kind, kind).speculation
    rig, todo, gone = Rig(lane(kind), speculation=draft), list(asked), dict[int, bool]()
    while todo or rig.loop.rows:
        if todo and draw.random() < 0.25:
            gone[rig.submit(todo.pop(0))[0]] = False
        if gone and draw.random() < 0.04:
            uid = draw.choice(list(gone))
            gone[uid] = gone[uid] or rig.reason(uid) is None
            rig.cancel(uid)
        rig.step()
    assert rig.stats().accepted > 0
    for (uid, left), item in zip(gone.items(), asked, strict=True):
        expected = alone(lane(kind), item)
        assert rig.tokens(uid) == (expected[: len(rig.tokens(uid))] if left else expected)


def test_the_end_of_an_answer_inside_of_a_guess_is_its_end() -> None:
    item = request(prompt(20, 8), 40, SAMPLINGS[1])
    answer = alone(lane("qwen3"), item)
    for place in (0, 1, 3, 4, 11):
        end = answer[place]
        ends = replace(lane("qwen3"), eos_token_ids=frozenset({end}))
        whole = guessing(ends, Prophet(answer))
        rig, found = outputs(whole, item)
        assert [output.token for output in found] == answer[: answer.index(end) + 1]
        assert found[-1].finish_reason is FinishReason.STOP
        assert rig.stats().generated_tokens == len(found)
        assert rig.stats().finished == 1


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_guessed_beyond_the_end_is_not_kept_for_later_prompts(kind: str) -> None:
    first = request(prompt(20, 9), 40, SAMPLINGS[1])
    answer = alone(lane(kind), first)
    ends = replace(lane(kind), eos_token_ids=frozenset({answer[6]}))
    short = answer[: answer.index(answer[6]) + 1]
    rig = Rig(guessing(ends, Prophet(answer)), remembering(ends))
    (uid,) = rig.submit(first)
    rig.finish()
    assert rig.tokens(uid) == short
    for follows in ([*short, 3, 4], [*answer[:12], 3], [*short[:-1], 9, 9]):
        item = request((*first.prompt, *follows), 5, ignore_eos=True)
        (uid,) = rig.submit(item)
        rig.finish()
        assert 20 <= rig.cached(uid) <= 20 + len(short)
        assert rig.tokens(uid) == alone(ends, item)


def test_a_row_that_is_cancelled_in_the_middle_leaves_at_once_and_a_good_state_behind() -> None:
    item = request(prompt(20, 10), 200)
    model = with_draft("qwen3", "qwen3")
    rig = Rig(model, remembering(model))
    (uid,) = rig.submit(item)
    while len(rig.tokens(uid)) < 20:
        rig.step()
    rig.cancel(uid)
    rig.step()
    assert rig.loop.rows == 0
    assert rig.stats().cancelled == 1
    made = rig.tokens(uid)
    assert made == alone(lane("qwen3"), item)[: len(made)]
    after = request((*item.prompt, *made, 5), 6)
    (uid,) = rig.submit(after)
    rig.finish()
    assert rig.cached(uid) == 20 + len(made)
    assert rig.tokens(uid) == alone(lane("qwen3"), after)


def test_a_length_is_kept_to_the_token() -> None:
    answer = alone(lane("qwen3"), request(prompt(20, 11), 30))
    for length in (1, 2, 3, 7, 8, 29):
        item = request(prompt(20, 11), length)
        rig, found = outputs(guessing(lane("qwen3"), Prophet(answer)), item)
        assert [output.token for output in found] == answer[:length]
        assert found[-1].finish_reason is FinishReason.LENGTH
        assert rig.stats().generated_tokens == length


def test_rows_whose_tokens_depend_on_more_than_their_keys_are_not_guessed_for() -> None:
    penalised = Sampling(seed=5, repetition_penalty=1.3)
    item = request(prompt(20, 12), 20, penalised)
    rig, found = outputs(with_draft("qwen3", "qwen3"), item)
    assert rig.stats().speculated == 0
    assert [output.token for output in found] == alone(lane("qwen3"), item)


def test_a_full_sliding_window_ends_guessing_and_changes_no_token() -> None:
    window = caches.trim_limit(batches.new_cache(lane("gemma3").model))
    assert 40 < window < 130
    item = request(prompt(40, 13), 90)
    rig, found = outputs(with_draft("gemma3", "gemma3"), item)
    assert [output.token for output in found] == alone(lane("gemma3"), item)
    assert rig.stats().speculated < 90


@pytest.mark.parametrize("kind", ["hybrid", "mamba2"])
def test_states_that_cannot_be_cut_are_not_guessed_for(kind: str) -> None:
    item = request(prompt(12, 14) * 3, 20)
    rig, found = outputs(with_lookup(kind), item)
    assert rig.stats().speculated == 0
    assert [output.token for output in found] == alone(lane(kind), item)


@pytest.mark.parametrize("wrong_every", [0, 2])
def test_reasoning_ends_at_its_budget_inside_of_a_guess_too(wrong_every: int) -> None:
    width = lane("qwen3").vocab
    budget = ThinkingBudget(tokens=9, opening=50, closing=51, is_open=True, width=width)
    item = request(prompt(20, 19), 30, SAMPLINGS[1], grammar=budget)
    expected = alone(lane("qwen3"), item)
    assert expected[9] == 51
    rig, found = outputs(guessing(lane("qwen3"), Prophet(expected, wrong_every)), item)
    assert [output.token for output in found] == expected
    assert rig.stats().accepted > 5


@pytest.mark.parametrize("bits", [8, 4])
def test_keys_and_values_in_fewer_bits_are_guessed_for_too(bits: Literal[4, 8]) -> None:
    spec = WorkerSpec(
        model_id="q",
        kind=ModelKind.TEXT,
        path=str(tiny_models.folder("qwen3", "--set", "head_dim=32")),
        socket="",
        kv_cache=KvCache(bits=bits, group_size=32),
    )
    model, _ = text.build(Path(spec.path), spec)
    mx.eval(model)
    plain = text.explore(model, spec, 4096, frozenset(), 1 << 40)
    item = request(prompt(40, 18), 60, SAMPLINGS[2])
    _, expected = outputs(plain, item)
    known = Prophet([output.token for output in expected], wrong_every=3)
    rig, found = outputs(guessing(plain, known), item)
    close(found, expected)
    assert rig.stats().accepted >= 10


@pytest.mark.parametrize("kind", ["qwen3_vl", "smolvlm"])
def test_a_model_that_sees_guesses_where_there_is_nothing_to_see(kind: str) -> None:
    model = seeing(kind)
    blind, sighted = model.request("what is this"), model.request("what is this", picture(1))
    expected = alone(model.lane, blind)
    rig, found = outputs(guessing(model.lane, Prophet(expected)), blind)
    assert [output.token for output in found] == expected
    assert rig.stats().accepted > 5
    rig, found = outputs(guessing(model.lane, Prophet(alone(model.lane, sighted))), sighted)
    assert [output.token for output in found] == alone(model.lane, sighted)
    assert rig.stats().speculated == 0


def test_a_long_prompt_is_read_by_the_draft_while_the_row_goes_on() -> None:
    item = request(prompt(900, 15), 40)
    rig, found = outputs(with_draft("qwen3", "qwen3"), item)
    assert [output.token for output in found] == alone(lane("qwen3"), item)
    assert rig.stats().accepted > 20


def test_the_drafts_memory_is_given_back_when_asked_and_where_rows_need_it() -> None:
    model = with_draft("qwen3", "qwen3")
    rig, _ = outputs(model, request(prompt(30, 16), 20))
    assert model.speculation is not None
    assert model.speculation.nbytes > 0
    rig.inbox.put(Shrink())
    rig.step()
    assert model.speculation.nbytes == 0
    tight = replace(model.bounds, cache_budget=model.bounds.cache_shape.row_bytes(300))
    item = request(prompt(30, 17), 60)
    rig, found = outputs(model, item, bounds=tight)
    assert model.speculation.nbytes <= model.bounds.cache_shape.row_bytes(300)
    assert [output.token for output in found] == alone(lane("qwen3"), item)
