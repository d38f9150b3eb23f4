"""A film is read as the model's own family reads it, and by nobody else's row or cache."""

import base64
from pathlib import Path
from typing import Any

import mlx_vlm
import numpy as np
import pytest
from mlx_vlm.utils import prepare_inputs
from support.engine_rig import Rig, alone
from support.films import film
from support.seeing import FILMING, Seeing, picture, seeing

from mlxd.protocol.errors import InvalidRequest, UnsupportedField
from mlxd.workers.chat.content import FilmPart
from mlxd.workers.chat.request import ChatRequest, Role, Turn
from mlxd.workers.engine import batch as batches
from mlxd.workers.engine.reuse import Reuse
from mlxd.workers.prompt_cache import caches
from mlxd.workers.prompt_cache.tiers import PromptCache
from mlxd.workers.vision import inputs
from mlxd.workers.vision.reading import Timed, stretched
from mlxd.workers.vision.runs import Run

LONG = "Look at all of this with care, from the beginning to the end and back, and then say: "


def part(content: bytes, fps: float | None = None, max_pixels: int | None = None) -> FilmPart:
    encoded = base64.b64encode(content).decode()
    return FilmPart(field="film", base64=encoded, fps=fps, max_pixels=max_pixels)


def theirs(model: Seeing, path: Path, *words: str) -> tuple[Any, str, Any]:
    """Return the family's processor, a prompt with the film after the first words, and what is made of both."""
    processor: Any = model.eyes._processor
    before, after = words
    said = [{"type": "text", "text": before}, {"type": "video"}, {"type": "text", "text": after}]
    prompt = processor.tokenizer.apply_chat_template(
        [{"role": "user", "content": said}], tokenize=False, add_generation_prompt=True
    )
    return processor, prompt, prepare_inputs(processor, videos=[str(path)], prompts=prompt)


@pytest.mark.parametrize("kind", FILMING)
def test_tokens_pixels_and_answers_are_those_of_the_familys_own_code(
    kind: str, tmp_path: Path
) -> None:
    model, path = seeing(kind), tmp_path / "film.mp4"
    for number, (frames, rate) in enumerate(((20, 10), (63, 25), (3, 1)), 1):
        path.write_bytes(film(number, frames=frames, rate=rate))
        processor, prompt, made = theirs(model, path, "Describe ", " now")
        asked = model.request("Describe ", part(path.read_bytes()), " now")
        assert list(asked.prompt) == made["input_ids"].reshape(-1).tolist()
        reading: Any = asked.reading
        assert (
            reading.inputs["pixel_values_videos"] == np.array(made["pixel_values_videos"])
        ).all()
        if kind == "qwen2_5_vl":
            continue  # mlx-vlm leaves the time out of its positions
        results = mlx_vlm.stream_generate(
            model.model, processor, prompt, video=str(path), max_tokens=12, temperature=0.0
        )
        tokens = [list(result.token_ids) for result in results if result.token_ids is not None]
        assert alone(model.lane, asked) == tokens[-1]


@pytest.mark.parametrize("kind", FILMING)
def test_rows_with_films_and_their_neighbours_say_what_they_say_alone(kind: str) -> None:
    model = seeing(kind)
    asked = [
        model.request("hello world"),
        model.request("Describe ", part(film(1))),
        model.request("The quick brown fox jumps over the lazy dog, and then what?"),
        model.request("Describe ", part(film(2))),
        model.request("See ", picture(1), " and ", part(film(1)), " and ", picture(2), " which?"),
        model.request(part(film(1)), "or", part(film(2, frames=50)), "?"),
    ]
    expected = [alone(model.lane, item) for item in asked]
    assert len({tuple(tokens) for tokens in expected}) >= len(expected) - 1, "films matter"
    rig, uids = Rig(model.lane), []
    for item in asked:
        uids += rig.submit(item)
        rig.step(3)
    rig.finish()
    assert [rig.tokens(uid) for uid in uids] == expected


@pytest.mark.parametrize("kind", FILMING)
def test_a_film_is_known_again_and_neither_another_nor_the_same_at_another_rate_is(
    kind: str,
) -> None:
    model = seeing(kind)
    limit = caches.trim_limit(batches.new_cache(model.lane.model))
    rig = Rig(model.lane, Reuse(PromptCache(64 << 20), limit, wanted=64 << 20))

    def answered(sent: FilmPart) -> int:
        asked = model.request(LONG, sent, " What is it?")
        uids = rig.submit(asked)
        rig.finish()
        assert rig.tokens(uids[0]) == alone(model.lane, asked)
        return rig.cached(uids[0])

    asked = model.request(LONG, part(film(1)), " What is it?")
    assert asked.reading is not None
    start = min(run.start for run in asked.reading.runs)  # type: ignore[attr-defined]
    assert answered(part(film(1))) == 0
    assert answered(part(film(2))) <= start
    assert answered(part(film(1), fps=4.0)) <= start
    assert answered(part(film(1, rate=5))) <= start, "the same frames, at other times"
    assert answered(part(film(1))) > start


def test_pictures_beside_films_are_looked_at_as_where_the_familys_code_does_both(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = seeing("qwen3_vl")

    def said() -> list[int]:
        asked = model.request(
            "a ", picture(1), " b ", part(film(1)), " c ", picture(2, (64, 200)), part(film(2)), "?"
        )
        return alone(model.lane, asked)

    native = said()
    monkeypatch.setattr(inputs, "_TOLD_APART", frozenset())
    assert said() == native


def test_more_frames_and_fewer_pixels_are_what_a_caller_asks_for() -> None:
    model = seeing("qwen2_vl")
    usual = len(model.request(part(film(1))).prompt)
    assert len(model.request(part(film(1), fps=8.0, max_pixels=60 * 60)).prompt) > usual
    assert len(model.request(part(film(1), max_pixels=60 * 60)).prompt) < usual


def test_later_frames_stand_further_on_by_the_time_between_them() -> None:
    model = seeing("qwen2_5_vl")
    slow, fast = (model.request(part(film(1, rate=rate))) for rate in (5, 20))
    steps = [asked.reading.timed[0].step for asked in (slow, fast)]  # type: ignore[union-attr]
    assert steps == pytest.approx([2.0, 4.0 / 4.0])
    places = np.array([[0, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4], [0, 1, 2, 2, 3, 3, 2, 2, 3, 3, 4]])
    places = np.stack([places[0], places[1], places[1]])[:, None]
    found = stretched(places, [Timed(Run(2, 10), 3.0)])
    assert found[0, 0].tolist() == [0, 1, 2, 2, 2, 2, 5, 5, 5, 5, 6]
    assert found[1, 0].tolist() == [0, 1, 2, 2, 3, 3, 2, 2, 3, 3, 6]
    assert (stretched(places, [Timed(Run(2, 10), 1.0)]) == places).all()


@pytest.mark.parametrize("kind", ["gemma3_vl", "smolvlm", "lfm2_vl"])
async def test_what_a_family_would_drop_or_fail_on_is_refused_by_name(kind: str) -> None:
    turn = Turn(role=Role.USER, images=(part(film(1)),))
    with pytest.raises(UnsupportedField, match="takes text and images, not films") as caught:
        await seeing(kind).writer.chat(ChatRequest(turns=(turn,)))
    assert caught.value.field == "film"


def test_a_frame_too_small_for_the_model_is_the_callers_mistake() -> None:
    with pytest.raises(InvalidRequest, match="video processor refuses it") as caught:
        seeing("qwen2_vl").request(part(film(1, size=(16, 16))))
    assert caught.value.field == "film"
