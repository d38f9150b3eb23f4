"""Window by window the text is the library's own, and a window can be left at any token."""

import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlx.core as mx
import mlx_audio.stt.utils
import numpy as np
import pytest
from support import sounds
from support.tiny_models import folder

from mlxd.protocol.errors import ModelLoadFailed
from mlxd.workers.sound import library
from mlxd.workers.transcription import whisper, windows
from mlxd.workers.transcription.spectrum import Spectrum
from mlxd.workers.transcription.spoken import Listen


@pytest.fixture(scope="module", params=["whisper", "whisper_bare"])
def ears(request: pytest.FixtureRequest) -> Iterator[whisper.Whisper]:
    """Give a model with a tokenizer of its own, and one without."""
    yield load(folder(request.param))


def load(path: Path) -> whisper.Whisper:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = mlx_audio.stt.utils.load(path)
    return whisper.adopt(model, path)


def words(segment: Any) -> list[tuple[str, float, float]]:
    return [(word.word, round(word.start, 2), round(word.end, 2)) for word in segment.words]


@pytest.mark.parametrize("sound", [sounds.chirp(7.3), sounds.chirp(31.4)], ids=["short", "long"])
def test_the_segments_are_those_of_the_library_s_own_loop(
    ears: whisper.Whisper, sound: sounds.Samples
) -> None:
    ears.watch(lambda: False)
    mx.random.seed(0)
    expected = ears.model.generate(sound, fp16=False, initial_prompt="Hello")
    found = list(windows.hear(ears, Listen(sound, prompt="Hello")))
    segments = [segment for part in found for segment in part.segments]
    assert [(s.text, s.tokens) for s in segments] == [
        (s["text"], s["tokens"]) for s in expected.segments
    ]
    times = [time for s in segments for time in (s.start, s.end)]
    assert times == pytest.approx([s[key] for s in expected.segments for key in ("start", "end")])
    assert found[0].language == expected.language
    assert found[-1].until == pytest.approx(len(sound) / 16000, abs=0.02)


def test_words_are_timed_as_by_the_library(ears: whisper.Whisper) -> None:
    ears.watch(lambda: False)
    sound = sounds.chirp(7.3)
    mx.random.seed(0)
    expected = ears.model.generate(sound, fp16=False, language="en", word_timestamps=True)
    (first, *_) = windows.hear(ears, Listen(sound, language="en", words=True))
    assert words(first.segments[0]) == [
        (word["word"], round(word["start"], 2), round(word["end"], 2))
        for word in expected.segments[0]["words"]
    ]


def test_a_window_is_left_within_a_token_and_the_next_recording_is_none_the_worse(
    ears: whisper.Whisper,
) -> None:
    sound = sounds.chirp(5.0)
    ears.watch(lambda: False)
    whole = list(windows.hear(ears, Listen(sound, language="en")))
    asked = 0

    def stopped() -> bool:
        nonlocal asked
        asked += 1
        return asked == 5

    ears.watch(stopped)
    with pytest.raises(whisper.Interrupted):
        list(windows.hear(ears, Listen(sound, language="en")))
    assert asked == 5
    ears.watch(lambda: False)
    assert list(windows.hear(ears, Listen(sound, language="en"))) == whole


def test_the_spectrum_of_a_stretch_is_cut_out_of_the_whole() -> None:
    from mlx_audio.stt.models.whisper.audio import log_mel_spectrogram

    sound = sounds.chirp(80.0) * np.linspace(0, 1, 80 * 16000, dtype=np.float32)
    whole = log_mel_spectrogram(sound, n_mels=80, padding=480000)
    spectrum = Spectrum(sound, 80)
    spectrum.measure()
    assert spectrum.frames == whole.shape[0] - 3000
    for first, count in ((0, 3000), (1234, 777), (6000, 2000), (7990, 10)):
        stretch = spectrum.stretch(first, count)
        assert float(mx.abs(stretch - whole[first : first + count]).max()) < 1e-4


def test_weights_that_are_missing_are_named(tmp_path: Path) -> None:
    path = tmp_path / "model"
    shutil.copytree(folder("whisper_bare"), path)
    weights = mx.load(str(path / "weights.npz"))
    assert isinstance(weights, dict)
    mx.eval(weights)
    del weights["decoder.ln.bias"]
    mx.savez(str(path / "weights.npz"), **weights)
    model = load(path).model
    with pytest.raises(ModelLoadFailed, match="has no decoder.ln.bias"):
        library.check_complete(model, path)


def test_a_model_that_makes_no_numbers_does_not_load() -> None:
    ears = load(folder("whisper_bare"))
    ears.model.decoder.ln.bias = ears.model.decoder.ln.bias * float("nan")
    with pytest.raises(ModelLoadFailed, match="not finite"):
        ears.prove()
