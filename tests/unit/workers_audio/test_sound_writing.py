"""Every format is what it claims to be, to readers that know nothing of who wrote it, whatever pieces it came in."""

import io
import sys
import wave

import av
import numpy as np
import pytest
import soundfile
from support import sounds

from mlxd.protocol.errors import UnsupportedField
from mlxd.workers.sound import writing

STREAMED = ("mp3", "opus", "aac", "wav", "pcm")
CONTAINERS = {
    "mp3": ("mp3", "mp3"), "opus": ("ogg", "opus"), "aac": ("aac", "aac"), "flac": ("flac", "flac"),
    "wav": ("wav", "pcm_s16le"),
}  # fmt: skip


def written(name: str, rate: int, seconds: float = 3.0, piece: int = 9600) -> list[bytes]:
    """Return the bytes that left after each piece, and those of the end."""
    tone = sounds.chirp(seconds, rate)
    writer = writing.start(name, rate)
    fed = [writer.feed(tone[at : at + piece]) for at in range(0, len(tone), piece)]
    return [*fed, writer.end()]


@pytest.mark.parametrize("rate", [16000, 22050, 24000, 32000, 44100, 96000])
@pytest.mark.parametrize("name", list(CONTAINERS))
def test_ffmpeg_finds_the_container_the_codec_and_the_length(name: str, rate: int) -> None:
    with av.open(io.BytesIO(b"".join(written(name, rate)))) as opened:
        found = (opened.format.name, opened.streams.audio[0].codec.name)
        frames = list(opened.decode(audio=0))
    assert (found[0], found[1].removesuffix("float")) == CONTAINERS[name]
    seconds = sum(frame.samples / frame.sample_rate for frame in frames)
    assert 2.95 <= seconds <= 3.2


@pytest.mark.parametrize("rate", [22050, 24000, 48000])
@pytest.mark.parametrize("name", ["mp3", "opus", "flac", "wav"])
def test_libsndfile_reads_all_of_it(name: str, rate: int) -> None:
    samples, found = soundfile.read(io.BytesIO(b"".join(written(name, rate))), dtype="float32")
    assert 2.95 <= len(samples) / found <= 3.2
    assert 0.15 <= np.abs(samples).max() <= 0.3


def test_a_wav_has_one_head_and_says_that_its_length_is_open() -> None:
    pieces = written("wav", 24000)
    content = b"".join(pieces)
    assert content.count(b"RIFF") == content.count(b"WAVEfmt ") == 1
    assert content[4:8] == content[40:44] == b"\xff\xff\xff\xff"
    with wave.open(io.BytesIO(content)) as opened:
        assert (opened.getnchannels(), opened.getsampwidth(), opened.getframerate()) == (
            1,
            2,
            24000,
        )
    tone = sounds.chirp(3.0, 24000)
    assert np.abs(np.frombuffer(content[44:], "<i2") / 32767 - tone).max() < 1e-4


@pytest.mark.parametrize("rate", [16000, 24000, 44100])
def test_bare_samples_are_16_bits_at_24_khz(rate: int) -> None:
    content = b"".join(written("pcm", rate))
    samples = np.frombuffer(content, "<i2") / 32767
    assert len(samples) == 72000
    assert np.abs(samples - sounds.chirp(3.0, 24000))[500:-500].max() < 0.01


@pytest.mark.parametrize("name", STREAMED)
def test_bytes_leave_while_the_sound_is_made(name: str) -> None:
    pieces = written(name, 24000)
    assert sum(map(len, pieces[:4])) > 0.2 * sum(map(len, pieces))


def test_no_sound_is_a_file_all_the_same() -> None:
    assert len(writing.start("wav", 24000).end()) == 44
    assert writing.start("pcm", 24000).end() == b""


def test_without_the_codec_aac_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(UnsupportedField, match=r"response_format.*'mlxd\[audio-full\]'"):
        writing.start("aac", 24000)
