"""What speech is made of: a body, voices by name, stretches of text."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlxd.protocol import openai_speech as wire
from mlxd.protocol import voices
from mlxd.protocol.errors import InvalidRequest, UnsupportedField
from mlxd.workers.api.speech import voice
from mlxd.workers.speech import sentences


def body(**fields: object) -> bytes:
    return json.dumps({"model": "p", "input": "Hello", "voice": "alba", **fields}).encode()


@pytest.mark.parametrize(
    ("fields", "kind", "field"),
    [
        ({"input": ""}, InvalidRequest, "input"),
        ({"input": " \n"}, InvalidRequest, "input"),
        ({"input": "a" * 4097}, InvalidRequest, "input"),
        ({"input": 7}, InvalidRequest, "input"),
        ({"response_format": "ogg"}, InvalidRequest, "response_format"),
        ({"speed": 5}, InvalidRequest, "speed"),
        ({"speed": 0}, InvalidRequest, "speed"),
        ({"voice": 3}, InvalidRequest, "voice"),
        ({"stream_format": "video"}, InvalidRequest, "stream_format"),
        ({"ref_audio": "/etc/passwd"}, UnsupportedField, "ref_audio"),
        ({"stream": True}, UnsupportedField, "stream"),
    ],
)
def test_a_wrong_field_is_named(
    fields: dict[str, object], kind: type[InvalidRequest], field: str
) -> None:
    with pytest.raises(kind) as caught:
        wire.decode(body(**fields))
    assert caught.value.field == field


def test_a_body_may_say_no_more_than_model_and_text() -> None:
    request = wire.decode(b'{"model": "p", "input": "Hello", "nobody": "knows"}')
    assert (request.voice, request.response_format, request.speed) == (None, "mp3", None)


@pytest.mark.parametrize(
    "wanted",
    ["../voices/alba", "/etc/passwd", "alba.safetensors", "http://127.0.0.1/a.safetensors", "hf://a/b", "alba,alba"],
)  # fmt: skip
def test_a_voice_is_a_name_that_the_model_brought_along(wanted: str) -> None:
    with pytest.raises(InvalidRequest, match="expected one of alba, marius") as caught:
        voice(wanted, ["alba", "marius"], "alba")
    assert caught.value.field == "voice"


def test_a_voice_is_found_in_any_case_and_as_an_object_and_may_be_left_out() -> None:
    known = ["Alba", "marius"]
    assert voice("ALBA", known, "marius") == "Alba"
    assert voice(wire.NamedVoice("marius"), known, "Alba") == "marius"
    assert voice(None, known, "Alba") == voice("default", known, "Alba") == "Alba"
    assert voice("default", [], None) is None


def folder(path: Path, config: object, *files: str) -> Path:
    (path / "config.json").write_text(json.dumps(config))
    for name in files:
        (path / name).parent.mkdir(exist_ok=True)
        (path / name).touch()
    return path


@pytest.mark.parametrize(
    ("config", "files", "found"),
    [
        ({}, (), []),
        ({}, ("voices/b.safetensors", "voices/a.safetensors", "voices/readme.md"), ["a", "b"]),
        ({}, ("voices/a.safetensors", "voices/._a.safetensors"), ["a"]),
        ({}, ("embeddings/x.safetensors", "default-voice.safetensors"), ["default", "x"]),
        ({"istftnet": {}, "plbert": {}}, ("voices/af_heart.safetensors", "voices/jf_a.safetensors"), ["af_heart"]),
        ({"talker_config": {"spk_id": {"vivian": [1], "ryan": [2]}}}, (), ["ryan", "vivian"]),
        ({"talker_config": {"spk_id": None}}, (), []),
        ([], (), []),
    ],
)  # fmt: skip
def test_voices_are_what_the_folder_and_its_config_name(
    config: object, files: tuple[str, ...], found: list[str], tmp_path: Path
) -> None:
    assert voices.names(folder(tmp_path, config, *files)) == found


def test_voices_in_a_packed_file_are_found(tmp_path: Path) -> None:
    np.savez(tmp_path / "voices.npz", Bella=np.zeros(2), Leo=np.zeros(2))
    assert voices.names(folder(tmp_path, {})) == ["Bella", "Leo"]
    (tmp_path / "voices.npz").write_bytes(b"no archive")
    assert voices.names(tmp_path) == []


@given(st.text(alphabet="ab .,!?。\n\"'", max_size=2000))
def test_stretches_have_every_letter_of_the_text_in_order_and_are_short(text: str) -> None:
    pieces = sentences.split(text)
    kept = [letter for letter in "".join(pieces) if not letter.isspace()]
    assert kept == [letter for letter in text if not letter.isspace()]
    assert all(0 < len(piece) <= sentences.LONGEST for piece in pieces)


def test_a_text_is_cut_after_sentences() -> None:
    text = 'Here is the first of them. And "here is the second one!" Is this a third sentence? Yes.'
    assert sentences.split(text) == [
        "Here is the first of them.",
        'And "here is the second one!"',
        "Is this a third sentence? Yes.",
    ]
