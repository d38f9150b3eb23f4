"""A row with a grammar writes what it allows and ends where it ends; the rows beside it notice nothing."""

import functools
import json
from dataclasses import replace
from typing import Any

import mlx.core as mx
import mlx_lm.utils
import pytest
from support import tiny_models
from support.engine_rig import GREEDY, Rig, alone, lane, prompt, request
from support.grammar_walk import whole
from support.guessing import Prophet, guessing

from mlxd.protocol.errors import InternalError
from mlxd.workers.engine.grammar import CompiledGrammar, Compiler
from mlxd.workers.engine.request import FinishReason, Sampling

HOT = Sampling(temperature=1.5, seed=5)


@functools.cache
def tokenizer() -> Any:
    return mlx_lm.utils.load_tokenizer(tiny_models.folder("qwen3"))


@functools.cache
def compiler() -> Compiler:
    return Compiler(tokenizer(), lane("qwen3").vocab, [tokenizer().eos_token_id])


def lark(text: str) -> CompiledGrammar:
    return compiler().compile(whole({"lark_grammar": text}))


def rig(**changes: Any) -> Rig:
    return Rig(lane("qwen3"), eos_token_ids=frozenset({tokenizer().eos_token_id}), **changes)


def text(rig: Rig, uid: int) -> str:
    tokens = [token for token in rig.tokens(uid) if token != tokenizer().eos_token_id]
    return str(tokenizer().decode(tokens))


@pytest.mark.parametrize("sampling", [GREEDY, HOT], ids=["greedy", "hot"])
def test_the_answer_ends_with_its_grammar_not_with_a_token_that_says_so(sampling: Sampling) -> None:
    running = rig()
    grammar = lark('start: "begin " /[0-9]{3}/')
    exact, ignoring = running.submit(
        request(prompt(5, 1), 50, sampling, grammar=grammar),
        request(prompt(5, 1), 50, sampling, grammar=grammar, ignore_eos=True),
    )
    running.finish()
    for uid in (exact, ignoring):
        assert running.reason(uid) is FinishReason.COMPLETE
        assert text(running, uid).startswith("begin ") and text(running, uid)[6:].isdigit()
        assert tokenizer().eos_token_id not in running.tokens(uid)


@pytest.mark.parametrize("wrong_every", [0, 1, 3])
@pytest.mark.parametrize("sampling", [GREEDY, HOT], ids=["greedy", "hot"])
@pytest.mark.parametrize(
    "grammar",
    ['start: "begin " /[0-9]{3}/', "start: /[a-d]{2,30}/", r'start: "{" /"[a-z]{3,9}": [0-9]{1,9}/ "}"'],
)  # fmt: skip
def test_what_is_guessed_ahead_changes_nothing_about_a_grammar(
    grammar: str, sampling: Sampling, wrong_every: int
) -> None:
    item = request(prompt(5, 1), 50, sampling, grammar=lark(grammar), logprobs=2)
    plain = rig()
    (expected,) = plain.submit(item)
    plain.finish()
    guesser = Prophet(plain.tokens(expected), wrong_every)
    model = guessing(lane("qwen3"), guesser)
    running = rig(speculation=model.speculation)
    (uid,) = running.submit(item)
    running.finish()
    assert running.tokens(uid) == plain.tokens(expected)
    assert running.reason(uid) == plain.reason(expected)
    assert running.stats().speculated > 0
    assert wrong_every == 1 or running.stats().accepted > 0


def test_a_guess_that_the_grammar_forbids_is_not_taken_and_harms_nothing() -> None:
    item = request(prompt(5, 1), 50, HOT, grammar=lark("start: /[0-9]{20}/"))
    expected = rig()
    (one,) = expected.submit(item)
    expected.finish()
    running = rig(speculation=guessing(lane("qwen3"), Prophet([3] * 60)).speculation)
    (uid,) = running.submit(item)
    running.finish()
    assert running.tokens(uid) == expected.tokens(one)
    assert running.reason(uid) is FinishReason.COMPLETE


def test_an_answer_that_could_go_on_ends_by_the_model() -> None:
    running = rig()
    end = Sampling(temperature=0, logit_bias={tokenizer().eos_token_id: 100.0})
    (uid,) = running.submit(
        request(prompt(5, 1), 50, end, grammar=lark("start: /[0-9]{2,9}/"), ignore_eos=True)
    )
    running.finish()
    assert running.reason(uid) is FinishReason.STOP
    assert len(text(running, uid)) == 2, "it may not end before, whatever the bias"


def test_an_answer_that_is_cut_says_so() -> None:
    running = rig()
    cut, exact = running.submit(
        request(prompt(5, 1), 5, HOT, grammar=lark("start: /[0-9]{50}/")),
        request(prompt(5, 1), 3, HOT, grammar=lark("start: <[7]> <[8]> <[9]>")),
    )
    running.finish()
    assert running.reason(cut) is FinishReason.LENGTH
    assert (running.tokens(exact), running.reason(exact)) == ([7, 8, 9], FinishReason.COMPLETE)


def test_rows_join_and_leave_beside_rows_with_and_without_grammars() -> None:
    """The masks follow the rows when the batch changes, and leave the others alone."""
    running = rig()
    numbers = lark('start: /[0-9]{1,2}/ (", " /[0-9]{1,2}/)*')
    asked = [
        request(
            prompt(4 + n, n), 10 + 5 * n, replace(HOT, seed=n), grammar=numbers if n % 3 else None
        )
        for n in range(12)
    ]
    uids = []
    for item in asked:
        uids += running.submit(item)
        running.step(2)
    running.cancel(uids[5])
    running.finish()
    for at, (uid, item) in enumerate(zip(uids, asked, strict=True)):
        if at != 5:
            single = rig()
            (same,) = single.submit(item)
            single.finish()
            assert running.tokens(uid) == single.tokens(same), at
        if item.grammar is not None:
            assert not set(text(running, uid)) - set("0123456789, ")


def test_a_row_whose_grammar_leads_nowhere_fails_alone() -> None:
    dead_end = lark('start: "x" "y" T\nT: "a" & "b"')
    model = lane("qwen3")
    running = rig()
    before, failing, after = running.submit(
        request(prompt(5, 1), 12),
        request(prompt(5, 2), 12, grammar=dead_end),
        request(prompt(5, 3), 12, HOT),
    )
    running.finish()
    assert isinstance(running.error(failing), InternalError)
    assert running.tokens(before) == alone(model, request(prompt(5, 1), 12))
    assert running.tokens(after) == alone(model, request(prompt(5, 3), 12, HOT))
    assert (running.stats().failed, running.stats().finished) == (1, 2)


def test_a_row_sent_back_for_room_goes_on_in_its_grammar() -> None:
    model = lane("qwen3")
    budget = 2 * model.bounds.cache_shape.row_bytes(512)
    bounds = replace(model.bounds, growth=1, cache_budget=budget)
    numbers = lark('start: "[" /[0-9]{1,3}/ (", " /[0-9]{1,3}/){200} "]"')
    asked = [request(prompt(250, n), 280, replace(HOT, seed=n), grammar=numbers) for n in range(2)]
    running = rig(bounds=bounds)
    uids = running.submit(*asked)
    while not running.stats().preempted:
        running.step()
    running.finish()
    for uid, item in zip(uids, asked, strict=True):
        single = rig()
        (same,) = single.submit(item)
        single.finish()
        assert running.error(uid) is None
        assert running.tokens(uid) == single.tokens(same)


def test_penalties_and_top_p_choose_among_what_is_allowed() -> None:
    narrow = Sampling(
        temperature=1.5, seed=3, top_p=0.1, top_k=2, min_p=0.5, repetition_penalty=2.0,
        presence_penalty=2.0, logit_bias={5: 100.0},
    )  # fmt: skip
    running = rig()
    (uid,) = running.submit(request(prompt(5, 1), 60, narrow, grammar=lark("start: /[a-z]{20}/")))
    running.finish()
    assert running.reason(uid) is FinishReason.COMPLETE and len(text(running, uid)) == 20


def test_logprobs_are_those_of_the_model_not_of_the_grammar() -> None:
    grammar = lark("start: <[7]> <[8]>")
    running = rig()
    (uid,) = running.submit(request(prompt(5, 1), 9, grammar=grammar, logprobs=3))
    running.finish()
    first, second = running.outputs(uid)
    assert first.logprob is not None and second.logprob is not None
    model = lane("qwen3")
    logits = model.model(mx.array([[*prompt(5, 1), 7]]), cache=None)[0].astype(mx.float32)
    expected = logits - mx.logsumexp(logits, axis=-1, keepdims=True)
    assert first.logprob == pytest.approx(expected[-2, 7].item(), abs=1e-3)
    assert second.logprob == pytest.approx(expected[-1, 8].item(), abs=1e-3)
    assert len(first.top_logprobs) == 3 and 7 not in dict(first.top_logprobs)


def test_a_model_without_an_end_token_ends_by_its_grammar() -> None:
    endless = Compiler(tokenizer(), lane("qwen3").vocab, [])
    grammar = endless.compile(whole({"json_schema": {"enum": [json.dumps("a"), 12]}}))
    running = Rig(lane("qwen3"))
    (uid,) = running.submit(request(prompt(5, 1), 60, HOT, grammar=grammar))
    running.finish()
    assert running.reason(uid) is FinishReason.COMPLETE
