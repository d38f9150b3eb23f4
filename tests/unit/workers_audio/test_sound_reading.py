"""Uploads become samples, or an error that names the file; nothing they claim about themselves is believed."""

import struct
import sys
import tracemalloc
from fractions import Fraction

import numpy as np
import pytest
from mlx_audio.resample import resample_audio_array
from support import sounds

from mlxd.protocol.errors import InvalidRequest, RequestTooLarge, UnsupportedField
from mlxd.workers.sound import reading
from mlxd.workers.sound.resampling import Resampler


def wav_head(*, frames: int = 0, channels: int = 1, rate: int = 16000, claimed: int = 0) -> bytes:
    size = claimed or frames * channels * 2
    form = struct.pack(
        "<4sIHHIIHH",
        b"fmt ",
        16,
        1,
        channels,
        rate,
        rate * channels * 2 & 0xFFFFFFFF,
        channels * 2,
        16,
    )
    return (
        struct.pack("<4sI4s", b"RIFF", size + 36 & 0xFFFFFFFF, b"WAVE")
        + form
        + struct.pack("<4sI", b"data", size)
    )


@pytest.mark.parametrize("kind", [*sounds.LOSSLESS, "wav-float"])
def test_what_is_written_without_loss_is_read_as_it_was(kind: str) -> None:
    tone = sounds.chirp(1.0)
    found = reading.read(sounds.file(kind, tone), 10)
    assert np.abs(found - tone).max() <= 1.5 / 32768


@pytest.mark.parametrize("kind", sounds.LOSSY)
def test_what_is_written_with_loss_is_as_long_and_as_loud(kind: str) -> None:
    found = reading.read(sounds.file(kind, sounds.chirp(2.0)), 10)
    assert 1.95 <= len(found) / 16000 <= 2.2
    assert 0.15 <= np.abs(found).max() <= 0.3


@pytest.mark.parametrize("rate", [8000, 22050, 44100, 48000])
def test_any_rate_becomes_16_khz(rate: int) -> None:
    found = reading.read(sounds.file("wav", sounds.chirp(2.0, rate), rate), 10)
    assert len(found) == 32000
    expected = sounds.chirp(2.0)
    assert np.abs(found - expected)[400:-400].max() < 0.01


@pytest.mark.parametrize(
    ("source", "target"),
    [(44100, 16000), (48000, 16000), (8000, 16000), (24000, 48000), (22050, 24000), (16000, 16000)],
)
def test_a_sound_that_comes_in_blocks_is_resampled_as_one(source: int, target: int) -> None:
    numbers = np.random.default_rng(0)
    sound = numbers.standard_normal(source * 4 + 17).astype(np.float32)
    resampler = Resampler(source, target, least=1000)
    found, at = [], 0
    while at < len(sound):
        size = int(numbers.integers(1, 30_000))
        found.append(resampler.feed(sound[at : at + size]))
        at += size
    joined = np.concatenate([*found, resampler.end()])
    whole = resample_audio_array(sound, source, target)
    assert len(joined) == len(whole)
    inner = slice(
        500, -500
    )  # at the ends one takes what is not there for silence, the other for a held note
    assert np.abs(joined[inner] - whole[inner]).max() < 1e-5


@pytest.mark.parametrize("rate", [4001, 44101, 191_999])
def test_an_odd_rate_needs_no_huge_filter(rate: int) -> None:
    ratio = Fraction(16000, rate).limit_denominator(1000)
    assert abs(float(ratio) * rate / 16000 - 1) < 1e-5
    tracemalloc.start()
    found = reading.read(sounds.file("wav", sounds.chirp(1.0, rate), rate), 10)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert abs(len(found) - 16000) <= 2
    assert peak < 64 << 20


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "the file is empty"),
        (b"hello", "expected wav, mp3, flac"),
        (b"#EXTM3U\nhttp://127.0.0.1/a.ts\n", "expected wav, mp3, flac"),
        (b"ffconcat version 1.0\nfile /etc/passwd\n", "expected wav, mp3, flac"),
        (b"%PDF-1.7 and so on and on", "expected wav, mp3, flac"),
        (b"RIFF", "cannot be decoded"),
        (b"RIFF\x00\x00\x00\x00WAVEfmt ", "cannot be decoded"),
        (wav_head(), "at least 0.1 seconds"),
        (wav_head(claimed=2 << 30) + b"\0\0" * 100, "at least 0.1 seconds"),
        (wav_head(channels=900, frames=100) + bytes(180_000), "channels"),
        (wav_head(rate=3, frames=100) + bytes(200), "3 Hz"),
        (b"fLaC" + bytes(60), "cannot be decoded"),
        (b"OggS" + bytes(60), "cannot be decoded"),
        (b"ID3" + bytes(60), "cannot be decoded"),
        (b"\0\0\0\x18ftypM4A " + bytes(60), "cannot be decoded"),
        (b"\x1a\x45\xdf\xa3" + bytes(60), "cannot be decoded"),
    ],
)  # fmt: skip
def test_what_is_no_sound_is_refused_by_name(content: bytes, says: str) -> None:
    with pytest.raises(InvalidRequest, match=says) as caught:
        reading.read(content, 10)
    assert caught.value.field == "file"
    assert caught.value.status == 400


@pytest.mark.parametrize("kind", ["flac", "mp3", "ogg", "opus", "m4a", "webm", "aac", "wav"])
def test_a_file_cut_anywhere_is_read_or_refused_and_nothing_else(kind: str) -> None:
    whole = sounds.file(kind, sounds.chirp(1.0))
    for cut in {1, 5, 20, 60, len(whole) // 3, len(whole) // 2, len(whole) - 3}:
        try:
            found = reading.read(whole[:cut], 10)
        except InvalidRequest:
            continue
        assert len(found) <= 16000 * 1.2


@pytest.mark.parametrize("kind", ["flac", "mp3", "ogg", "opus", "m4a", "webm", "aac", "wav"])
def test_a_file_with_damaged_bytes_is_read_or_refused_and_nothing_else(kind: str) -> None:
    whole = bytearray(sounds.file(kind, sounds.chirp(1.0)))
    numbers = np.random.default_rng(1)
    for _ in range(20):
        damaged = bytearray(whole)
        for at in numbers.integers(16, len(whole), 40):
            damaged[at] = int(numbers.integers(256))
        try:
            found = reading.read(bytes(damaged), 60)
        except (InvalidRequest, RequestTooLarge):
            continue
        assert np.isfinite(found).all()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_samples_that_are_no_numbers_are_refused(value: float) -> None:
    tone = sounds.chirp(1.0)
    tone[8000] = value
    with pytest.raises(InvalidRequest, match="no numbers"):
        reading.read(sounds.file("wav-float", tone), 10)


def test_louder_than_full_scale_is_clipped() -> None:
    found = reading.read(sounds.file("wav-float", sounds.chirp(1.0) * 1e30), 10)
    assert np.abs(found).max() == 1.0


def test_a_small_file_that_lasts_for_hours_is_refused_before_it_takes_memory() -> None:
    hours = sounds.file("flac", np.zeros(16000 * 1200, np.float32))
    assert len(hours) < 1 << 20
    tracemalloc.start()
    with pytest.raises(RequestTooLarge, match="lasts longer than the 30 seconds"):
        reading.read(hours, 30)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 16 << 20


def test_the_beginning_alone_tells_rubbish_apart() -> None:
    reading.probe(sounds.file("mp3", sounds.chirp(1.0)), 10)
    with pytest.raises(InvalidRequest):
        reading.probe(b"fLaC" + bytes(60), 10)


@pytest.mark.parametrize("kind", ["m4a", "webm", "aac"])
def test_without_the_codecs_the_extra_is_named(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    content = sounds.file(kind, sounds.chirp(0.5))
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(UnsupportedField, match=r"pip install 'mlxd\[audio-full\]'"):
        reading.read(content, 10)
