"""Text in, sound out, through the daemon by the official client: every format, as it is made, by voices with names."""

import base64
import io
import json
import struct
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import av
import httpx
import numpy as np
import openai
import pytest
import soundfile
from support.daemon import Daemon
from support.deadline import until

PATH = "/v1/audio/speech"
TEXT = "One two three"
SECONDS = 4.96
"""What the tiny model says of three words: one second each, two more, in whole frames."""
FORMATS = {
    "mp3": ("audio/mpeg", "mp3", "mp3"), "opus": ("audio/opus", "ogg", "opus"), "aac": ("audio/aac", "aac", "aac"),
    "flac": ("audio/flac", "flac", "flac"), "wav": ("audio/wav", "wav", "pcm_s16le"),
}  # fmt: skip


def seconds_of(content: bytes) -> float:
    """Return how long a file lasts, as FFmpeg decodes it."""
    with av.open(io.BytesIO(content)) as opened:
        return float(sum(frame.samples / frame.sample_rate for frame in opened.decode(audio=0)))


@pytest.mark.parametrize("name", list(FORMATS))
def test_every_format_is_what_it_claims(name: Any, sdk: openai.OpenAI) -> None:
    answer = sdk.audio.speech.create(model="mouth", input=TEXT, voice="alba", response_format=name)
    content = answer.read()
    media_type, container, codec = FORMATS[name]
    assert answer.response.headers["content-type"] == media_type
    with av.open(io.BytesIO(content)) as opened:
        found = opened.format.name, opened.streams.audio[0].codec.name.removesuffix("float")
    assert found == (container, codec)
    assert abs(seconds_of(content) - SECONDS) < 0.2
    if name != "aac":  # libsndfile knows the others
        samples, rate = soundfile.read(io.BytesIO(content))
        assert abs(len(samples) / rate - SECONDS) < 0.2 and np.abs(samples).max() > 0.05


def test_bare_samples_have_no_head(sdk: openai.OpenAI) -> None:
    answer = sdk.audio.speech.create(model="mouth", input=TEXT, voice="alba", response_format="pcm")
    assert answer.response.headers["content-type"] == "audio/pcm"
    assert len(answer.content) == SECONDS * 24000 * 2


def test_mp3_is_what_one_gets_who_asks_for_nothing(http: httpx.Client) -> None:
    answer = http.post(PATH, json={"model": "mouth", "input": TEXT})
    assert answer.headers["content-type"] == "audio/mpeg"
    assert abs(seconds_of(answer.content) - SECONDS) < 0.2


def test_a_wav_leaves_as_it_is_made_and_has_one_head(sdk: openai.OpenAI) -> None:
    with sdk.audio.speech.with_streaming_response.create(
        model="mouth", input=TEXT, voice="alba", response_format="wav"
    ) as answer:
        assert "content-length" not in answer.headers
        pieces = list(answer.iter_bytes())
    content = b"".join(pieces)
    assert len(pieces) >= 5
    assert content.count(b"RIFF") == content.count(b"data\xff\xff\xff\xff") == 1
    assert struct.unpack("<I", content[4:8]) == (0xFFFFFFFF,)
    assert len(content) == 44 + SECONDS * 24000 * 2


@pytest.mark.parametrize("name", ["wav", "mp3"])
def test_events_carry_the_same_file_and_end_with_done(name: str, http: httpx.Client) -> None:
    body = {"model": "mouth", "input": TEXT, "voice": "alba", "response_format": name}
    file = http.post(PATH, json=body).content
    answer = http.post(PATH, json={**body, "stream_format": "sse"})
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = [
        json.loads(line.removeprefix("data: "))
        for line in answer.text.splitlines()
        if line.startswith("data: ")
    ]
    *deltas, done = events
    assert {event["type"] for event in deltas} == {"speech.audio.delta"} and len(deltas) > 3
    assert b"".join(base64.b64decode(event["audio"]) for event in deltas) == file
    assert done["type"] == "speech.audio.done" and done["usage"]["input_tokens"] == 3


def test_voices_have_names_and_sound_different(http: httpx.Client, audio_daemon: Daemon) -> None:
    listed = http.get("/v1/audio/voices", params={"model": "mouth"}).json()
    assert listed["object"] == "list" and listed["data"] == listed["voices"]
    names = [voice["id"] for voice in listed["data"]]
    assert names == ["alba", "marius"]
    assert http.get("/v1/audio/voices").json() == listed
    files = [
        http.post(PATH, json={"model": "mouth", "input": TEXT, "voice": name, "response_format": "pcm"})
        for name in (*names, "alba", "MARIUS", {"id": "alba"})
    ]  # fmt: skip
    alba, marius, again, loud, named = (file.content for file in files)
    assert alba == again == named != marius == loud


def test_the_voices_of_what_does_not_speak_are_refused(http: httpx.Client) -> None:
    refused = http.get("/v1/audio/voices", params={"model": "ears"})
    assert refused.status_code == 400 and refused.json()["error"]["param"] == "model"
    unknown = http.get("/v1/audio/voices", params={"model": "../../etc"})
    assert unknown.status_code == 404


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"voice": "../voices/alba"}, "voice"),
        ({"voice": "/etc/passwd"}, "voice"),
        ({"voice": "http://127.0.0.1:1/a.safetensors"}, "voice"),
        ({"voice": "alloy"}, "voice"),
        ({"speed": 2}, "speed"),
        ({"instructions": "whisper"}, "instructions"),
        ({"response_format": "ogg"}, "response_format"),
        ({"input": "a" * 4097}, "input"),
        ({"input": ""}, "input"),
        ({"ref_audio": "/etc/passwd"}, "ref_audio"),
    ],
)
def test_what_the_model_does_not_have_is_refused_by_name(
    fields: dict[str, object], field: str, http: httpx.Client
) -> None:
    refused = http.post(PATH, json={"model": "mouth", "input": TEXT, "voice": "alba", **fields})
    assert refused.status_code == 400, refused.text
    assert refused.json()["error"]["param"] == field


def test_a_speed_of_one_asks_for_nothing(sdk: openai.OpenAI) -> None:
    answer = sdk.audio.speech.create(model="mouth", input=TEXT, voice="alba", speed=1.0)
    assert answer.read()


def test_who_leaves_in_the_middle_frees_the_model(
    http: httpx.Client, sdk: openai.OpenAI, audio_daemon: Daemon
) -> None:
    def stats() -> dict[str, Any]:
        models = audio_daemon.get("/v1/batch/stats")["models"]
        return next((model for model in models if model["id"] == "mouth"), {})

    sdk.audio.speech.create(model="mouth", input=TEXT, voice="alba").read()
    before = stats()
    long = {"model": "mouth", "input": "word " * 800, "voice": "alba", "response_format": "pcm"}
    with http.stream("POST", PATH, json=long) as answer:
        next(answer.iter_bytes())
    until(lambda: stats()["cancelled"] > before["cancelled"], within=60, what="speech is given up")
    assert stats()["finished"] == before["finished"]
    answer_after = sdk.audio.speech.create(model="mouth", input=TEXT, voice="alba")
    assert abs(seconds_of(answer_after.read()) - SECONDS) < 0.2


def test_what_is_spoken_is_heard_while_both_models_are_loaded(
    sdk: openai.OpenAI, audio_daemon: Daemon
) -> None:
    def round_trip(name: Any) -> str:
        spoken = sdk.audio.speech.create(
            model="mouth", input=TEXT, voice="alba", response_format=name
        )
        heard = sdk.audio.transcriptions.create(model="ears", file=(f"a.{name}", spoken.read()))
        return heard.text

    with ThreadPoolExecutor(5) as pool:
        texts = list(pool.map(round_trip, FORMATS))
    assert all(texts)
    states = {model["id"]: (model["kind"], model["state"]) for model in audio_daemon.ps()}
    assert states["mouth"] == ("speech", "ready") and states["ears"] == ("transcription", "ready")


def test_a_model_that_hears_does_not_speak(http: httpx.Client) -> None:
    refused = http.post(PATH, json={"model": "ears", "input": TEXT, "voice": "alba"})
    assert refused.status_code == 400 and refused.json()["error"]["param"] == "model"
