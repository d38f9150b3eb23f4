"""Speech in, text out, through the daemon by the official client: every container, every format, streams, refusals."""

import json
import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import numpy as np
import openai
import pytest
from mlx_audio.resample import resample_audio_array
from support import espeak, sounds
from support.daemon import Daemon
from support.deadline import until

SENTENCE = "The quick brown fox jumps over the lazy dog, and nobody minds."
ROUTES = ("/v1/audio/transcriptions", "/v1/audio/translations")


@pytest.fixture(scope="module")
def speech() -> tuple[sounds.Samples, int]:
    """Give a sentence as espeak-ng says it, in samples that 16 bits hold exactly, at a rate that every codec takes."""
    samples, rate = espeak.say(SENTENCE)
    found = resample_audio_array(samples, rate, 24000)
    return (np.round(found * 32767) / 32768).astype(np.float32), 24000


def upload(kind: str, sound: tuple[sounds.Samples, int]) -> tuple[str, bytes]:
    return f"speech.{kind}", sounds.file(kind, *sound)


def stats(daemon: Daemon, model: str) -> dict[str, Any]:
    """Return the counts of a model's worker."""
    found = daemon.get("/v1/batch/stats")["models"]
    return next((worker for worker in found if worker["id"] == model), {})


@pytest.mark.parametrize("kind", sounds.LOSSLESS)
@pytest.mark.parametrize("model", ["ears", "bare"])
def test_speech_is_the_same_text_in_every_container_without_loss(
    model: str, kind: str, sdk: openai.OpenAI, speech: tuple[sounds.Samples, int]
) -> None:
    reference = sdk.audio.transcriptions.create(model="ears", file=upload("wav", speech))
    found = sdk.audio.transcriptions.create(model=model, file=upload(kind, speech))
    assert found.text == reference.text and len(found.text) > 10
    assert found.usage is not None and found.usage.type == "duration"


@pytest.mark.parametrize("kind", sounds.LOSSY)
def test_speech_in_every_other_container_is_heard_for_as_long_as_it_lasts(
    kind: str, sdk: openai.OpenAI, speech: tuple[sounds.Samples, int]
) -> None:
    samples, rate = speech
    found = sdk.audio.transcriptions.create(
        model="ears", file=upload(kind, speech), response_format="verbose_json"
    )
    assert found.text
    assert abs(float(found.duration) - len(samples) / rate) < 0.25


def test_other_sounds_are_other_texts_and_the_same_sound_the_same(
    sdk: openai.OpenAI, speech: tuple[sounds.Samples, int]
) -> None:
    first, again, other = (
        sdk.audio.transcriptions.create(model="ears", file=("a.wav", content), language="en").text
        for content in (
            sounds.file("wav", *speech),
            sounds.file("wav", *speech),
            sounds.file("wav", sounds.chirp(6.0, pitch=900.0)),
        )
    )
    assert first == again != other


def test_every_format_says_the_same(sdk: openai.OpenAI, speech: tuple[sounds.Samples, int]) -> None:
    def ask(kind: Any) -> Any:
        file = upload("flac", speech)
        return sdk.audio.transcriptions.create(model="ears", file=file, response_format=kind)

    plain, verbose = ask("json"), ask("verbose_json")
    text, srt, vtt = ask("text"), ask("srt"), ask("vtt")
    assert plain.text == verbose.text == text.strip()
    assert verbose.language and verbose.words is None
    assert "".join(segment.text for segment in verbose.segments).strip() == plain.text
    for segment in verbose.segments:
        assert 0 <= segment.start <= segment.end <= verbose.duration + 0.02
        assert segment.tokens and np.isfinite(segment.avg_logprob)
    cues = re.findall(r"\d\d:\d\d:\d\d,\d{3} --> \d\d:\d\d:\d\d,\d{3}", srt)
    assert srt.startswith("1\n00:00:") and len(cues) == len(verbose.segments)
    assert vtt.startswith("WEBVTT\n\n00:00:")


def test_words_have_times_within_their_recording(
    sdk: openai.OpenAI, speech: tuple[sounds.Samples, int]
) -> None:
    found = sdk.audio.transcriptions.create(
        model="ears",
        file=upload("wav", speech),
        response_format="verbose_json",
        timestamp_granularities=["word"],
    )
    assert found.segments is None and found.words
    assert all(0 <= word.start <= word.end <= found.duration + 0.02 for word in found.words)
    both = sdk.audio.transcriptions.create(
        model="ears",
        file=upload("wav", speech),
        response_format="verbose_json",
        timestamp_granularities=["word", "segment"],
    )
    assert both.words == found.words and both.segments


def test_a_stream_brings_a_long_recording_window_by_window(
    sdk: openai.OpenAI, audio_daemon: Daemon
) -> None:
    content = sounds.file("flac", sounds.chirp(70.0))
    whole = sdk.audio.transcriptions.create(model="ears", file=("a.flac", content))
    before = stats(audio_daemon, "ears")["steps"]
    stream = sdk.audio.transcriptions.create(model="ears", file=("a.flac", content), stream=True)
    events = list(stream)
    deltas = [event.delta for event in events if event.type == "transcript.text.delta"]
    done = events[-1]
    assert done.type == "transcript.text.done"
    assert done.text == "".join(deltas).strip() == whole.text
    assert len(deltas) >= 3
    assert stats(audio_daemon, "ears")["steps"] >= before + 3


def test_language_prompt_temperature_and_translation_reach_the_model(
    sdk: openai.OpenAI, speech: tuple[sounds.Samples, int]
) -> None:
    def ask(**fields: Any) -> Any:
        file = upload("wav", speech)
        return sdk.audio.transcriptions.create(
            model="ears", file=file, response_format="verbose_json", **fields
        )

    plain = ask(language="de")
    assert plain.language == ask(language="German").language == "german"
    assert plain.text == ask(language="German").text != ask(language="fr").text
    assert ask(language="de", prompt="Zürich, Grüße, Käse").text != plain.text
    hot = ask(language="de", temperature=1.0)
    assert hot.text != plain.text and {s.temperature for s in hot.segments} == {1.0}
    assert hot.text == ask(language="de", temperature=1.0).text
    with pytest.warns(DeprecationWarning):
        translated = sdk.audio.translations.create(model="ears", file=upload("wav", speech))
    assert translated.text != ask().text


def test_requests_at_the_same_time_get_what_each_would_get_alone(sdk: openai.OpenAI) -> None:
    files = [sounds.file("wav", sounds.chirp(3.0, pitch=pitch)) for pitch in (90.0, 500.0, 1500.0)]

    def ask(content: bytes) -> str:
        return sdk.audio.transcriptions.create(
            model="ears", file=("a.wav", content), language="en"
        ).text

    alone = [ask(content) for content in files]
    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(ask, files * 2)) == alone * 2


def test_who_leaves_in_the_middle_frees_the_model(
    http: httpx.Client, sdk: openai.OpenAI, audio_daemon: Daemon
) -> None:
    content = sounds.file("flac", sounds.chirp(110.0))
    form = {"model": "ears", "stream": "true", "language": "en"}
    sdk.audio.transcriptions.create(
        model="ears", file=("a.wav", sounds.file("wav", sounds.chirp(1.0)))
    )
    before = stats(audio_daemon, "ears")
    with http.stream("POST", ROUTES[0], data=form, files={"file": ("a.flac", content)}) as response:
        for line in response.iter_lines():
            if line.startswith("data: "):
                break
    until(
        lambda: stats(audio_daemon, "ears")["cancelled"] > before["cancelled"],
        within=60,
        what="the recording is given up",
    )
    after = stats(audio_daemon, "ears")
    assert after["finished"] == before["finished"]
    short = sdk.audio.transcriptions.create(
        model="ears", file=("a.wav", sounds.file("wav", sounds.chirp(1.0)))
    )
    assert short.text
    (model,) = [model for model in audio_daemon.ps() if model["id"] == "ears"]
    assert model["active_requests"] == 0


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"language": "klingon"}, "language"),
        ({"temperature": "7"}, "temperature"),
        ({"response_format": "docx"}, "response_format"),
        ({"include[]": "logprobs"}, "include"),
        ({"timestamp_granularities[]": "word"}, "timestamp_granularities"),
        ({"chunking_strategy": "server_vad"}, "chunking_strategy"),
        ({"prompt": "a" * 100_000}, None),
    ],
)
def test_a_wrong_field_is_refused_by_name(
    fields: dict[str, str], field: str | None, http: httpx.Client
) -> None:
    file = {"file": ("a.wav", sounds.file("wav", sounds.chirp(0.5)))}
    refused = http.post(ROUTES[0], data={"model": "ears", **fields}, files=file)
    assert refused.status_code == 400, refused.text
    assert refused.json()["error"]["param"] == field


@pytest.mark.parametrize("route", ROUTES)
def test_a_form_without_a_file_is_refused(route: str, http: httpx.Client) -> None:
    for files in ({"other": ("a.wav", b"x")}, {"file": (None, b"text")}):
        refused = http.post(route, data={"model": "ears"}, files=files)
        assert refused.status_code == 400, refused.text
        assert refused.json()["error"]["param"] == "file"
    refused = http.post(route, json={"model": "ears", "file": "data:audio/wav;base64,AA=="})
    assert refused.status_code == 400


def test_a_model_of_another_kind_is_refused(http: httpx.Client) -> None:
    file = {"file": ("a.wav", sounds.file("wav", sounds.chirp(0.5)))}
    refused = http.post(ROUTES[0], data={"model": "mouth"}, files=file)
    assert refused.status_code == 400 and refused.json()["error"]["param"] == "model"
    assert "transcription" in json.dumps(refused.json())
