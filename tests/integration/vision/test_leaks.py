"""No row is ever told of a picture that another request brought: not beside it, not after it, not from the disk."""

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from support.engine_rig import Rig, alone, remembering
from support.seeing import KINDS, Seeing, picture, seeing

from mlxd.workers.engine.request import GenerateRequest

LONG = "Look at all of this with care, from the left to the right and back, and then say: "
ENDS = (" What is it?", " Who is there, and why?", " Count!")


def seen_part(asked: GenerateRequest) -> tuple[int, int]:
    """Return where the tokens of a request's first picture begin, and where those of its last one end."""
    assert asked.reading is not None
    runs = asked.reading.runs  # type: ignore[attr-defined]
    return runs[0].start, runs[-1].stop


def serial(model: Seeing) -> Callable[[GenerateRequest], list[int]]:
    """Return what says what a request gives by itself, each worked out once."""
    known: dict[tuple[int, ...], list[int]] = {}

    def tokens(asked: GenerateRequest) -> list[int]:
        key = asked.reading.key if asked.reading is not None else asked.prompt
        if key not in known:
            known[key] = alone(model.lane, asked)
        return known[key]

    return tokens


def told(rig: Rig, asked: GenerateRequest) -> tuple[list[int], int]:
    """Return a request's tokens, and how many of its prompt were not read again."""
    (uid,) = rig.submit(asked)
    rig.finish()
    assert rig.error(uid) is None
    return rig.tokens(uid), rig.cached(uid)


@pytest.mark.parametrize("kind", KINDS)
def test_one_picture_under_other_words_is_answered_for_those_words(kind: str) -> None:
    model = seeing(kind)
    rig = Rig(model.lane, remembering(model.lane))
    asked = [model.request(LONG, picture(1), end) for end in ENDS]
    said = [told(rig, item) for item in (*asked, *asked)]
    assert [tokens for tokens, _ in said] == [alone(model.lane, item) for item in asked] * 2
    assert len({tuple(tokens) for tokens, _ in said}) == len(asked)
    _, seen = seen_part(asked[0])
    assert all(cached >= seen for _, cached in said[3:]), "the same picture is known by now"


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_on_disk_serves_the_same_picture_only(kind: str, tmp_path: Path) -> None:
    model = seeing(kind)
    asked = [model.request(LONG, picture(at), ENDS[0]) for at in (1, 2)]
    assert asked[0].prompt == asked[1].prompt, "only their pixels tell them apart"
    before = remembering(model.lane, disk=tmp_path)
    told(Rig(model.lane, before), asked[0])
    while not before.rest():
        pass
    begins, seen = seen_part(asked[0])
    for item, known in ((asked[1], False), (asked[0], True)):
        # Another process of the same model: nothing is in its memory.
        tokens, cached = told(Rig(model.lane, remembering(model.lane, disk=tmp_path)), item)
        assert tokens == alone(model.lane, item)
        assert cached >= seen if known else cached <= begins


@pytest.mark.parametrize("kind", ["qwen2_vl", "qwen3_5"])
def test_a_picture_is_known_to_the_tenant_alone_that_showed_it(kind: str, tmp_path: Path) -> None:
    model = seeing(kind)
    asked = model.request(LONG, picture(1), ENDS[0])
    memory = remembering(model.lane, disk=tmp_path)
    rig = Rig(model.lane, memory)
    expected = alone(model.lane, asked)
    found = [told(rig, replace(asked, tenant=tenant)) for tenant in ("a", "b", "", "a", "b")]
    assert [tokens for tokens, _ in found] == [expected] * 5
    cached = [count for _, count in found]
    assert cached[:3] == [0, 0, 0]
    assert min(cached[3:]) >= seen_part(asked)[1]
    while not memory.rest():
        pass
    later = Rig(model.lane, remembering(model.lane, disk=tmp_path))
    assert told(later, replace(asked, tenant="c")) == (expected, 0)
    assert told(later, replace(asked, tenant="a"))[1] >= seen_part(asked)[1]


@pytest.mark.parametrize("kind", KINDS)
def test_any_mix_of_words_and_pictures_is_answered_as_if_each_were_alone(
    kind: str, tmp_path: Path
) -> None:
    """Rows join and leave midway, hit and miss in memory and on disk, and are cancelled."""
    model = seeing(kind)
    expected = serial(model)
    draw = random.Random(kind)
    # Room for a few states only: the others go to disk and come back.
    memory = remembering(model.lane, memory=1 << 20, disk=tmp_path)
    rig = Rig(model.lane, memory)
    running: dict[int, GenerateRequest] = {}
    for _ in range(28):
        words = draw.choice([LONG, LONG + LONG, "Say: "])
        shown = [picture(draw.randrange(3)) for _ in range(draw.choice([0, 1, 1, 2]))]
        asked = model.request(words, *shown, draw.choice(ENDS), tokens=8)
        asked = replace(asked, tenant=draw.choice(["", "a"]))
        (uid,) = rig.submit(asked)
        running[uid] = asked
        rig.step(draw.randrange(5))
        if draw.random() < 0.15:
            rig.cancel(uid)
        memory.write()
    rig.finish()
    for uid, asked in running.items():
        assert rig.error(uid) is None
        tokens = rig.tokens(uid)
        assert tokens == expected(asked)[: len(tokens)]
        assert len(tokens) == 8 or rig.reason(uid) is None
    assert any(rig.cached(uid) for uid in running if rig.tokens(uid))
