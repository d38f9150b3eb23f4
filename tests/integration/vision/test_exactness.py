"""What a row says depends on its own words and pictures alone, whoever shares the batch."""

import io
from dataclasses import replace

import mlx.core as mx
import mlx_vlm
import pytest
from PIL import Image
from support.engine_rig import Rig, alone
from support.seeing import KINDS, Seeing, picture, seeing

from mlxd.workers.engine.request import GenerateRequest, Sampling
from mlxd.workers.vision import sight


def requests(model: Seeing) -> list[GenerateRequest]:
    """Return text and pictures in turns, some of the same shape and some of others."""
    return [
        model.request("hello world"),
        model.request("Describe the picture ", picture(1)),
        model.request("The quick brown fox jumps over the lazy dog, and then what?"),
        model.request(picture(2), "What is in this picture?"),
        model.request("First ", picture(3), " and then ", picture(1, (64, 200)), " which is it?"),
        model.request("Why?", sampling=Sampling(temperature=1.2, seed=5)),
        model.request(picture(4), sampling=Sampling(temperature=0.9, top_p=0.9, seed=6)),
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_rows_that_join_midway_say_what_they_say_alone(kind: str) -> None:
    model = seeing(kind)
    asked = requests(model)
    expected = [alone(model.lane, item) for item in asked]
    assert len({tuple(tokens) for tokens in expected}) == len(expected), "pictures matter"
    rig, uids = Rig(model.lane), []
    for item in asked:
        uids += rig.submit(item)
        rig.step(3)
    rig.finish()
    assert [rig.tokens(uid) for uid in uids] == expected


@pytest.mark.parametrize("kind", KINDS)
def test_rows_that_begin_together_and_leave_early_say_the_same(kind: str) -> None:
    model = seeing(kind)
    asked = requests(model)
    rig = Rig(model.lane)
    uids = rig.submit(*asked)
    rig.step(6)
    rig.cancel(uids[1])
    rig.cancel(uids[2])
    rig.finish()
    for uid, item in zip(uids, asked, strict=True):
        expected = alone(model.lane, item)
        assert rig.tokens(uid) == expected[: len(rig.tokens(uid))]
        assert len(rig.tokens(uid)) == len(expected) or uid in uids[1:3]


@pytest.mark.parametrize("kind", KINDS)
def test_the_tokens_are_those_of_mlx_vlm_itself(kind: str) -> None:
    model = seeing(kind)
    said: list[tuple[str | bytes, ...]] = [
        ("hello world",),
        ("Describe ", picture(1), " now"),
        (picture(2), "and", picture(3, (64, 200))),
    ]
    rig, uids = Rig(model.lane), []
    for words in said:
        uids += rig.submit(model.request(*words))
        rig.step(2)
    rig.finish()
    assert [rig.tokens(uid) for uid in uids] == [of_mlx_vlm(model, words) for words in said]


def of_mlx_vlm(model: Seeing, words: tuple[str | bytes, ...]) -> list[int]:
    """Return what mlx-vlm's own loop says to a message, the end of an answer left out of account."""
    processor = sight.load(model.folder, model.model.config, trusted=False)
    processor.tokenizer.stopping_criteria = lambda token: False
    parts = [
        {"type": "image"} if isinstance(item, bytes) else {"type": "text", "text": item}
        for item in words
    ]
    prompt = processor.tokenizer.apply_chat_template(
        [{"role": "user", "content": parts}], tokenize=False, add_generation_prompt=True
    )
    shown = [Image.open(io.BytesIO(item)) for item in words if isinstance(item, bytes)]
    results = mlx_vlm.stream_generate(
        model.model, processor, prompt, image=shown or None, max_tokens=12, temperature=0.0
    )
    tokens = [list(result.token_ids) for result in results if result.token_ids is not None]
    return tokens[-1]


def test_a_prompt_read_in_slices_is_the_prompt_read_at_once() -> None:
    for kind in KINDS:
        model = seeing(kind)
        asked = model.request("a ", picture(1), " b ", picture(2), " c")
        reading, tokens = asked.reading, list(asked.prompt) + [5, 6, 7]
        assert reading is not None
        found = []
        for width in (len(tokens), 7):
            cache = model.lane.model.make_cache()  # type: ignore[attr-defined]
            for start in range(0, len(tokens), width):
                reading.read(tokens, start, min(start + width, len(tokens)), cache)
            shift = mx.array([reading.shift()])
            found.append(model.lane.model(mx.array([[9]]), cache=cache, shifts=shift))  # type: ignore[call-arg]
        assert mx.allclose(found[0], found[1], atol=1e-4).item(), kind


def test_a_row_sent_back_for_room_goes_on_as_if_nothing_had_happened() -> None:
    model = seeing("qwen2_vl")
    words = "more and more and " * 12
    asked = [model.request(words, picture(at), " and?", tokens=340 + at) for at in (1, 2)]
    assert len(asked[0].prompt) < 256 < 512 < len(asked[0].prompt) + 340
    budget = 2 * model.lane.bounds.cache_shape.row_bytes(512)
    bounds = replace(model.lane.bounds, growth=1, cache_budget=budget)
    rig = Rig(model.lane, bounds=bounds)
    uids = rig.submit(*asked)
    rig.finish()
    assert rig.stats().preempted
    for uid, item in zip(uids, asked, strict=True):
        assert rig.tokens(uid) == alone(model.lane, item)
