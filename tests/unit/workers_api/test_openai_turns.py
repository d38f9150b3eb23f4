"""Messages become turns that no dialect's shape shows through, or are refused by the name of the part at fault."""

import json

import pytest

from mlxd.protocol import openai_chat as wire
from mlxd.protocol.errors import InvalidRequest, UnsupportedField
from mlxd.workers.api.openai_turns import turns
from mlxd.workers.chat.content import FilmPart, SoundPart
from mlxd.workers.chat.request import PastCall, Role, Turn


def request(*messages: dict[str, object], **fields: object) -> wire.ChatCompletionRequest:
    return wire.decode(json.dumps({"model": "m", "messages": messages} | fields).encode())


def test_each_role_becomes_a_turn() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": {"a": 1}}}
    body = request(
        {"role": "developer", "content": "rule"},
        {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
        {"role": "assistant", "content": None, "tool_calls": [call], "reasoning_content": "why"},
        {"role": "tool", "tool_call_id": "c1", "content": "1"},
        {"role": "assistant", "content": "done"},
    )
    assert turns(body.messages) == (
        Turn(role=Role.SYSTEM, text="rule"),
        Turn(role=Role.USER, text="a\nb"),
        Turn(
            role=Role.ASSISTANT,
            reasoning="why",
            calls=(PastCall(id="c1", name="f", arguments='{"a": 1}'),),
        ),
        Turn(role=Role.TOOL, text="1", call_id="c1"),
        Turn(role=Role.ASSISTANT, text="done"),
    )


def test_pictures_stay_where_they_stand() -> None:
    near = {"type": "image_url", "image_url": {"url": "data:,a", "detail": "low"}}
    far = {"type": "image_url", "image_url": "data:,b", "max_pixels": 9}
    said = [
        {"type": "text", "text": "one"},
        near,
        {"type": "text", "text": "two"},
        {"type": "text", "text": "three"},
        far,
    ]
    (turn,) = turns(request({"role": "user", "content": said}).messages)
    assert [getattr(piece, "url", piece) for piece in turn.pieces] == [
        "one", "data:,a", "two\nthree", "data:,b"
    ]  # fmt: skip
    assert [image.max_pixels for image in turn.images] == [512 * 512, 9]
    assert turn.images[0].field == "messages[0].content[1].image_url.url"


@pytest.mark.parametrize(
    ("image", "named"),
    [
        (None, ".image_url"),
        ({"url": ""}, ".image_url.url"),
        ({"url": "data:,a", "detail": "sharp"}, ".image_url.detail"),
        ({"url": "data:,a", "max_pixels": 0}, ".image_url.max_pixels"),
    ],
)
def test_a_picture_that_names_nothing_is_refused(image: object, named: str) -> None:
    part = {"type": "image_url", "image_url": image}
    with pytest.raises(InvalidRequest) as caught:
        turns(request({"role": "user", "content": [part]}).messages)
    assert caught.value.field == f"messages[0].content[0]{named}"


@pytest.mark.parametrize(
    ("part", "named"),
    [
        ({"type": "video_url"}, ".video_url"),
        ({"type": "video_url", "video_url": {"url": ""}}, ".video_url.url"),
        ({"type": "video_url", "video_url": "data:,a", "fps": -1}, ".video_url.fps"),
        ({"type": "audio_url"}, ".audio_url"),
        ({"type": "audio_url", "audio_url": {"url": ""}}, ".audio_url.url"),
        ({"type": "input_audio"}, ".input_audio"),
        (
            {"type": "input_audio", "input_audio": {"data": "", "format": "wav"}},
            ".input_audio.data",
        ),
    ],
)
def test_a_film_or_a_sound_that_names_nothing_is_refused(
    part: dict[str, object], named: str
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        turns(request({"role": "user", "content": [part]}).messages)
    assert caught.value.field == f"messages[0].content[0]{named}"


def test_films_and_sounds_stay_where_they_stand() -> None:
    said = [
        {"type": "video_url", "video_url": {"url": "data:,a", "fps": 4}, "max_pixels": 9},
        {"type": "text", "text": "one"},
        {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "mp3"}},
        {"type": "audio_url", "audio_url": "data:,b"},
    ]
    (turn,) = turns(request({"role": "user", "content": said}).messages)
    assert turn.pieces == [
        FilmPart(field="messages[0].content[0].video_url.url", url="data:,a", fps=4, max_pixels=9),
        "one",
        SoundPart(field="messages[0].content[2].input_audio.data", base64="AAAA", at=3),
        SoundPart(field="messages[0].content[3].audio_url", url="data:,b", at=3),
    ]


@pytest.mark.parametrize("kind", ["file"])
def test_media_are_refused_by_the_place_they_stand_in(kind: str) -> None:
    part = {"type": kind, kind: {"url": "data:image/png;base64,AAAA"}}
    with pytest.raises(UnsupportedField) as caught:
        turns(
            request({"role": "user", "content": [{"type": "text", "text": "see"}, part]}).messages
        )
    assert caught.value.field == "messages[0].content[1]"


@pytest.mark.parametrize(
    ("message", "named"),
    [
        ({"role": "user", "content": [{"type": "smell"}]}, "messages[0].content[0].type"),
        ({"role": "user", "content": [{"type": "text"}]}, "messages[0].content[0].text"),
        ({"role": "user"}, "messages[0].content"),
        ({"role": "tool", "content": None}, "messages[0].content"),
        (
            {"role": "user", "content": "x", "tool_calls": [{"function": {"name": "f"}}]},
            "messages[0].tool_calls",
        ),
    ],
)
def test_a_message_that_makes_no_sense_is_named(message: dict[str, object], named: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        turns(request(message).messages)
    assert caught.value.field == named
