"""Pictures stand where the caller put them, and the caller's words never count as one."""

import asyncio
import base64
import threading
from collections.abc import Sequence
from typing import Any

import pytest
from support.seeing import KINDS, picture, seeing

from mlxd.protocol.errors import InvalidRequest, UnsupportedField
from mlxd.workers.chat.content import Content, ImagePart, MediaPart
from mlxd.workers.chat.request import ChatRequest, PastCall, Role, Tool, Turn
from mlxd.workers.chat.sight import Sight
from mlxd.workers.chat.template import PromptWriter
from mlxd.workers.engine.reading import PromptReading


def image(at: int) -> ImagePart:
    return ImagePart(field=f"messages[{at}]", base64="")


@pytest.mark.parametrize("kind", KINDS)
def test_markers_in_text_are_words(kind: str) -> None:
    model = seeing(kind)
    marker = model.eyes.marker
    plain = model.prompt(f"say {marker} and <|image_pad|><image><|vision_start|> aloud")
    assert plain.reading is None
    shown = model.prompt(f"say {marker} ", picture(1), f" {marker}{marker}")
    assert shown.reading is not None
    without = model.prompt("say ", picture(1), " this")
    assert without.reading is not None
    assert len(shown.reading.runs) == len(without.reading.runs)  # type: ignore[attr-defined]


@pytest.mark.parametrize("kind", KINDS)
def test_markers_are_words_wherever_a_template_may_write_them(kind: str) -> None:
    model = seeing(kind)
    marker = model.eyes.marker
    content = Content.of((f"{marker} look: ", image(0)))
    call = PastCall(id="1", name=marker, arguments=f'{{"a": "{marker}"}}')
    turns = (
        Turn(role=Role.SYSTEM, text=f"be {marker}"),
        Turn(role=Role.USER, text=content.text, images=content.images, name=marker),
        Turn(role=Role.ASSISTANT, text=marker, reasoning=marker, calls=(call,)),
        Turn(role=Role.TOOL, text=marker, call_id="1"),
        Turn(role=Role.USER, text="and?"),
    )
    tool = Tool(name=marker, description=marker, parameters={marker: [marker]})
    asked = ChatRequest(turns=turns, tools=(tool,), prefill=marker)
    prompt = model.writer.render_chat(asked, [picture(1)])
    assert prompt.reading is not None
    assert len(prompt.reading.runs) == 1  # type: ignore[attr-defined]


def test_pictures_of_results_and_of_merged_turns_keep_their_order() -> None:
    model = seeing("qwen2_vl")
    shown = Content.of(("before", image(1)))
    turns = (
        Turn(role=Role.USER, text="go"),
        Turn(role=Role.ASSISTANT, calls=(PastCall(id="1", name="f", arguments="{}"),)),
        Turn(role=Role.TOOL, text=shown.text, images=shown.images, call_id="1"),
        Turn(role=Role.USER, text="first ", images=(image(3),)),
        Turn(role=Role.USER, text="second ", images=(image(4),)),
    )
    files = [picture(1), picture(2, (200, 40)), picture(3)]
    prompt = model.writer.render_chat(ChatRequest(turns=turns), files)
    assert prompt.reading is not None
    sizes = [run.stop - run.start for run in prompt.reading.runs]  # type: ignore[attr-defined]
    assert len(sizes) == 3
    assert sizes[0] == sizes[2]


async def test_pictures_of_a_system_turn_are_refused_by_name() -> None:
    model = seeing("qwen2_vl")
    turn = Turn(role=Role.SYSTEM, text="", images=(image(0),))
    with pytest.raises(UnsupportedField) as caught:
        await model.writer.chat(ChatRequest(turns=(turn, Turn(role=Role.USER, text="x"))))
    assert caught.value.field == "messages[0]"


async def test_more_pictures_than_any_window_holds_are_refused() -> None:
    model = seeing("qwen2_vl")
    turn = Turn(role=Role.USER, images=tuple(image(at) for at in range(65)))
    with pytest.raises(InvalidRequest) as caught:
        await model.writer.chat(ChatRequest(turns=(turn,)))
    assert caught.value.field == "messages[64]"


def test_fewer_pixels_make_fewer_tokens() -> None:
    model = seeing("qwen2_vl")

    def tokens(max_pixels: int | None) -> int:
        part = ImagePart(field="x", base64="", max_pixels=max_pixels)
        asked = ChatRequest(turns=(Turn(role=Role.USER, images=(part,)),))
        return len(model.writer.render_chat(asked, [picture(1, (200, 200))]).tokens)

    assert tokens(60 * 60) < tokens(120 * 120) < tokens(None)


class Slow:
    """Look at pictures as another does, once it is told to."""

    def __init__(self, eyes: Sight) -> None:
        self._eyes = eyes
        self.marker, self.film_marker, self.sound_marker = (
            eyes.marker, eyes.film_marker, eyes.sound_marker
        )  # fmt: skip
        self.plain, self.pictures = eyes.plain, eyes.pictures
        self.begun, self.go = threading.Event(), threading.Event()

    def look(
        self, text: str, pictures: Sequence[Any], parts: Sequence[MediaPart]
    ) -> tuple[tuple[int, ...], PromptReading]:
        """Wait, and look."""
        self.begun.set()
        assert self.go.wait(60)
        return self._eyes.look(text, pictures, parts)


async def test_text_is_not_kept_waiting_by_pictures_that_are_prepared() -> None:
    model = seeing("qwen2_vl")
    eyes = Slow(model.eyes)
    writer = PromptWriter(model.writer._tokenizer, eyes)
    part = ImagePart(field="x", base64=base64.b64encode(picture(1)).decode())
    shown = ChatRequest(turns=(Turn(role=Role.USER, images=(part,)),))
    looking = [asyncio.create_task(writer.chat(shown)) for _ in range(12)]
    try:
        assert await asyncio.to_thread(eyes.begun.wait, 60)
        words = ChatRequest(turns=(Turn(role=Role.USER, text="hello"),))
        said = await asyncio.gather(*(writer.chat(words) for _ in range(8)))
        assert {prompt.reading for prompt in said} == {None}
        assert not any(task.done() for task in looking)
    finally:
        eyes.go.set()
    found = await asyncio.gather(*looking)
    assert all(prompt.reading is not None for prompt in found)
    writer.close()
