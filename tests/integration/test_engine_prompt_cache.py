"""A row that is spared part of its prompt gets the tokens of one that is not (promises F1, F4, F5, B10)."""

import random
from dataclasses import replace
from pathlib import Path

import pytest
from support.engine_rig import GREEDY, Rig, alone, lane, prompt, remembering, request

from mlxd.workers.engine.inbox import Limit, Shrink
from mlxd.workers.engine.request import GenerateRequest, Sampling
from mlxd.workers.engine.reuse import SHARE

KINDS = ("qwen3", "gemma3", "hybrid", "mamba2")
"""Full attention, sliding windows, linear attention, state space."""


def ask(rig: Rig, item: GenerateRequest) -> tuple[list[int], int]:
    """Let a request run by itself; return its tokens and how many of the prompt were known."""
    (uid,) = rig.submit(item)
    rig.finish()
    assert rig.error(uid) is None, rig.error(uid)
    return rig.tokens(uid), rig.cached(uid)


@pytest.mark.parametrize("kind", KINDS)
def test_a_growing_conversation_is_read_once_and_answered_as_ever(kind: str) -> None:
    model = lane(kind)
    rig, said = Rig(model, remembering(model)), prompt(120, 1)
    ends: tuple[int, ...] = (40,)
    for turn in range(6):
        asked = request((*said, 7, 8, 9), 12, ends=(*ends, len(said)), system=40)
        answer, cached = ask(rig, asked)
        assert answer == alone(model, asked)
        if turn:
            assert cached >= 0.75 * len(asked.prompt)
        ends = (*ends, len(said))
        # The next turn has the answer without the tail that opened it, as templates drop what was reasoning.
        said = (*said, *answer, *prompt(10, turn))
    assert rig.stats().prompt_tokens < 600


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("length", [2, 12, 100, 700])
def test_the_same_prompt_again_gets_the_same_answer(kind: str, length: int) -> None:
    model, asked = lane(kind), request(prompt(length, 3), 6)
    rig = Rig(model, remembering(model))
    answers = [ask(rig, asked) for _ in range(3)]
    assert {tuple(tokens) for tokens, _ in answers} == {tuple(alone(model, asked))}
    # What is short and can be trimmed is kept when its row ends, for less it is not worth it.
    assert answers[-1][1] == (length - 1 if length > 8 else 0)


def test_a_prompt_that_is_part_of_a_known_one_is_known() -> None:
    model, tokens = lane("qwen3"), prompt(200, 3)
    rig = Rig(model, remembering(model))
    ask(rig, request(tokens, 6))
    for length in (9, 60, 199, 200):
        asked = request(tokens[:length], 6)
        assert ask(rig, asked) == (alone(model, asked), length - 1)


@pytest.mark.parametrize("kind", KINDS)
def test_prompts_that_share_a_head_in_one_batch(kind: str) -> None:
    model, head = lane(kind), prompt(150, 5)
    rig = Rig(model, remembering(model))
    ask(rig, request((*head, 1, 2), 3, ends=(150,), system=150))
    asked = [
        request((*head, *prompt(tail, tail)), 10, ends=(150,), system=150)
        for tail in (1, 5, 90, 400)
    ]
    uids = rig.submit(*asked, request(prompt(33, 8), 12))
    rig.finish()
    for uid, item in zip(uids, asked, strict=False):
        assert rig.tokens(uid) == alone(model, item)
        assert rig.cached(uid) >= 150 or item.prompt[:150] != head
    assert rig.tokens(uids[-1]) == alone(model, request(prompt(33, 8), 12))


@pytest.mark.parametrize("kind", KINDS)
def test_rows_come_and_go_and_come_again(kind: str, tmp_path: Path) -> None:
    model, draw = lane(kind, max_batch=4), random.Random(7)
    rig = Rig(model, remembering(model, memory=1 << 20, disk=tmp_path / "states"))
    heads = [prompt(draw.choice((30, 150, 600)), i) for i in range(4)]
    samplings = (
        GREEDY,
        Sampling(seed=3, temperature=0.8),
        Sampling(seed=4, repetition_penalty=1.3),
    )
    asked: dict[int, GenerateRequest] = {}
    gone: set[int] = set()
    while len(asked) < 24 or rig.loop.rows:
        if len(asked) < 24 and draw.random() < 0.4:
            head = draw.choice(heads)
            tokens = (*head, *prompt(draw.choice((1, 3, 20)), draw.randrange(6)))
            item = request(
                tokens, draw.choice((1, 4, 12)), draw.choice(samplings), ends=(len(head),)
            )
            (uid,) = rig.submit(item)
            asked[uid] = item
        if asked and draw.random() < 0.08:
            uid = draw.choice(list(asked))
            gone.add(uid)
            rig.cancel(uid)
        rig.step()
    hits = 0
    for uid, item in asked.items():
        assert rig.error(uid) is None
        expected = alone(model, item)
        assert rig.tokens(uid) == (expected[: len(rig.tokens(uid))] if uid in gone else expected)
        hits += bool(rig.outputs(uid)) and rig.cached(uid) > 0
    assert hits > 5


@pytest.mark.parametrize("kind", KINDS)
def test_an_abandoned_prompt_is_read_on_from_where_it_was_left(kind: str) -> None:
    model, asked = lane(kind), request(prompt(2000, 1), 5)
    rig = Rig(model, remembering(model))
    (uid,) = rig.submit(asked)
    while not rig.stats().prompt_tokens:
        rig.step()
    read = rig.stats().prompt_tokens
    assert read < 1999
    rig.cancel(uid)
    answer, cached = ask(rig, asked)
    assert answer == alone(model, asked)
    assert cached == read


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("steps", [1, 2, 3, 5])
def test_an_abandoned_answer_is_known_as_far_as_it_was_fed(kind: str, steps: int) -> None:
    model, asked = lane(kind), request(prompt(30, 1), 20)
    for others in (0, 1, 2):
        rig = Rig(model, remembering(model))
        uids = rig.submit(asked, *(request(prompt(20 + i, 50 + i), 20) for i in range(others)))
        rig.step(steps)
        answered = rig.tokens(uids[0])
        rig.cancel(uids[0])
        rig.step()
        rig.finish()
        again = request((*asked.prompt, *answered, 5), 6)
        tokens, cached = ask(rig, again)
        assert tokens == alone(model, again)
        assert cached in (30 + len(answered), 29 + len(answered))


def test_a_row_sent_back_for_room_need_not_be_read_again() -> None:
    model = lane("qwen3")
    asked = [request(prompt(250, seed), 280) for seed in (1, 2)]
    budget = 2 * model.bounds.cache_shape.row_bytes(512)
    bounds = replace(model.bounds, growth=1, cache_budget=budget)
    rig = Rig(model, remembering(model), bounds=bounds)
    uids = rig.submit(*asked)
    rig.finish()
    assert rig.stats().preempted
    assert rig.stats().prompt_tokens < 600
    for uid, item in zip(uids, asked, strict=True):
        assert rig.tokens(uid) == alone(model, item)
        assert rig.cached(uid) == 0, "what the caller is told is about the prompt"


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_written_is_there_for_the_next_worker(kind: str, tmp_path: Path) -> None:
    model = lane(kind)
    asked = request(prompt(700, 1), 10, ends=(690,))
    before = Rig(model, first := remembering(model, disk=tmp_path / "states"))
    answer, _ = ask(before, asked)
    first.finish()
    after = Rig(model, remembering(model, disk=tmp_path / "states"))
    uids = after.submit(asked, request(prompt(50, 2), 30))
    after.finish()
    assert after.tokens(uids[0]) == answer == alone(model, asked)
    assert after.cached(uids[0]) >= 690
    assert after.tokens(uids[1]) == alone(model, request(prompt(50, 2), 30))


def test_a_damaged_file_is_a_miss_and_put_aside(tmp_path: Path) -> None:
    model, asked = lane("qwen3"), request(prompt(700, 1), 10)
    before = Rig(model, first := remembering(model, disk=tmp_path / "states"))
    answer, _ = ask(before, asked)
    first.finish()
    (file,) = (tmp_path / "states").glob("*.safetensors")
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    after = Rig(model, remembering(model, disk=tmp_path / "states"))
    assert ask(after, asked) == (answer, 0)
    after.loop._show(full=True)
    stats = after.stats().prompt_cache
    assert stats is not None and stats.disk is not None and stats.disk.quarantined == 1


def test_tenants_share_nothing() -> None:
    model, tokens = lane("qwen3"), prompt(100, 1)
    rig = Rig(model, remembering(model))
    assert ask(rig, request(tokens, 3, tenant="a"))[1] == 0
    assert ask(rig, request(tokens, 3, tenant="b"))[1] == 0
    assert ask(rig, request(tokens, 3, tenant="a"))[1] == 99


def test_other_limits_are_kept_and_what_is_asked_back_is_given(tmp_path: Path) -> None:
    model = lane("qwen3")
    rig = Rig(model, remembering(model, disk=tmp_path / "states"))
    ask(rig, request(prompt(900, 1), 3))
    rig.loop._show(full=True)
    held = rig.stats().prompt_cache_bytes
    assert held
    rig.inbox.put(Limit(int(held / SHARE / 2), 0))
    rig.step()
    rig.loop._show(full=True)
    stats = rig.stats().prompt_cache
    assert stats is not None and stats.limit < held and stats.bytes <= stats.limit
    rig.inbox.put(Limit(1 << 30, 0))
    asked = request(prompt(900, 2), 3)
    answer, _ = ask(rig, asked)
    rig.inbox.put(Shrink())
    rig.step()
    assert rig.stats().prompt_cache_bytes == 0
    assert ask(rig, asked) == (answer, 899), "it is back from disk"


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["qwen3", "hybrid"])
def test_five_hundred_requests_stay_within_their_bytes(kind: str, tmp_path: Path) -> None:
    model, draw = lane(kind, max_batch=8), random.Random(1)
    memory, disk = 4 << 20, 12 << 20
    folder = tmp_path / "states"
    reuse = remembering(model, memory=memory, disk=folder, disk_bytes=disk)
    rig = Rig(model, reuse)
    left = 500
    while left or rig.loop.rows:
        while left and rig.loop.rows < 12 and draw.random() < 0.7:
            head = prompt(draw.randrange(1, 400), draw.randrange(30))
            tail = prompt(draw.randrange(1, 40), left)
            rig.submit(request((*head, *tail), draw.randrange(1, 8), ends=(len(head),)))
            left -= 1
        rig.step()
        stats = reuse.stats()
        assert stats is not None and stats.disk is not None
        assert stats.bytes <= memory
        assert sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) <= disk
    assert rig.stats().failed == 0
