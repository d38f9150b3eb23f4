"""A prompt with a picture reuses what was read of the same picture, and nothing that was read of another."""

import pytest
from support.engine_rig import Rig, alone
from support.seeing import KINDS, Seeing, picture, seeing

from mlxd.workers.engine import batch as batches
from mlxd.workers.engine.request import GenerateRequest
from mlxd.workers.engine.reuse import Reuse
from mlxd.workers.prompt_cache import caches
from mlxd.workers.prompt_cache.tiers import PromptCache

LONG = "Look at all of this with care, from the left to the right and back, and then say: "


def remembering(model: Seeing) -> Rig:
    limit = caches.trim_limit(batches.new_cache(model.lane.model))
    return Rig(model.lane, Reuse(PromptCache(64 << 20), limit, wanted=64 << 20))


def answered(rig: Rig, *asked: GenerateRequest) -> list[tuple[list[int], int]]:
    """Return tokens, and how many of the prompt were not read again."""
    uids = rig.submit(*asked)
    rig.finish()
    return [(rig.tokens(uid), rig.cached(uid)) for uid in uids]


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_picture_is_known_and_another_of_its_size_is_not(kind: str) -> None:
    model = seeing(kind)
    first, second = (model.request(LONG, picture(at), " What is it?") for at in (1, 2))
    assert first.prompt == second.prompt, "only their pixels tell them apart"
    rig = remembering(model)
    ((said, cached),) = answered(rig, first)
    assert (said, cached) == (alone(model.lane, first), 0)
    ((said, cached),) = answered(rig, second)
    assert said == alone(model.lane, second)
    assert second.reading is not None
    start = min(run.start for run in second.reading.runs)  # type: ignore[attr-defined]
    assert cached <= start, "nothing of the other picture is taken"
    ((said, cached),) = answered(rig, first)
    assert said == alone(model.lane, first)
    assert cached > start


@pytest.mark.parametrize("kind", ["qwen2_vl", "gemma3_vl"])
def test_a_conversation_goes_on_after_its_picture(kind: str) -> None:
    model = seeing(kind)
    rig = remembering(model)
    short = model.request(LONG, picture(1), " What?")
    longer = model.request(LONG, picture(1), " What? And what of this one? ", picture(2), " Well?")
    answered(rig, short)
    ((said, cached),) = answered(rig, longer)
    assert said == alone(model.lane, longer)
    if kind == "qwen2_vl":
        assert cached > len(short.prompt) // 2


@pytest.mark.parametrize("kind", ["qwen2_vl", "qwen3_5", "smolvlm"])
def test_neighbours_in_a_batch_keep_their_own_pictures(kind: str) -> None:
    model = seeing(kind)
    rig = remembering(model)
    asked = [model.request(LONG, picture(at % 3), " What?") for at in range(6)]
    for (said, _), item in zip(answered(rig, *asked), asked, strict=True):
        assert said == alone(model.lane, item)
    for (said, _), item in zip(answered(rig, *reversed(asked)), reversed(asked), strict=True):
        assert said == alone(model.lane, item)


def test_text_for_a_model_that_sees_is_remembered_as_for_any_other() -> None:
    model = seeing("qwen2_vl")
    rig = remembering(model)
    asked = model.request(LONG * 3)
    ((_, none),) = answered(rig, asked)
    ((said, cached),) = answered(rig, asked)
    assert (none, said) == (0, alone(model.lane, asked))
    assert cached == len(asked.prompt) - 1


def test_a_match_within_a_picture_is_cut_back_to_before_it() -> None:
    reading = seeing("qwen2_vl").request(LONG, picture(1)).reading
    assert reading is not None
    (run,) = reading.runs  # type: ignore[attr-defined]
    assert reading.whole(run.start + 1) == run.start
    assert [reading.whole(length) for length in (run.start, run.stop)] == [run.start, run.stop]


@pytest.mark.parametrize("kind", ["qwen2_vl", "qwen3_vl", "smolvlm"])
def test_pictures_that_are_known_are_not_looked_at_again(kind: str) -> None:
    model = seeing(kind)
    rig = remembering(model)
    first, again = (model.request(LONG, picture(1), " What is it? " * 9) for _ in range(2))
    ((said, _),) = answered(rig, first)
    ((repeated, cached),) = answered(rig, again)
    assert (repeated, cached) == (said, len(again.prompt) - 2)
    assert again.reading is not None
    assert not again.reading._features  # type: ignore[attr-defined]
