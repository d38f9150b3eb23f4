"""Read an upload into samples: its first bytes tell what it is, and what it claims about itself is not believed."""

import io
import math
from collections.abc import Iterator

import numpy as np
import soundfile

from mlxd.protocol.errors import InvalidRequest, RequestTooLarge, UnsupportedField
from mlxd.workers.media import tables
from mlxd.workers.sound.resampling import Resampler
from mlxd.workers.sound.samples import CODECS, Samples

RATE = 16000
SHORTEST_SECONDS = 0.1
_FIELD = "file"
_BLOCK_FRAMES = 1 << 16
_MOST_CHANNELS = 32
_MOST_PACKETS = 400
"""Packets of compressed sound in a second: Opus has those of 2.5 ms."""
_RATES = range(4000, 384_001)
_PLAIN = {b"RIFF": "wav", b"RF64": "wav", b"fLaC": "flac", b"OggS": "ogg"}
_ACCEPTED = "wav, mp3, flac, ogg, opus, m4a, mp4, aac or webm"


def container(content: bytes) -> str:
    """Return what a file is by its first bytes; raises InvalidRequest for one that is no sound we know."""
    head = content[:16]
    if not head:
        raise InvalidRequest(f"{_FIELD}: the file is empty", field=_FIELD)
    if (plain := _PLAIN.get(head[:4])) is not None:
        return plain
    if head[4:8] == b"ftyp":
        return "m4a"
    if head[:4] == b"\x1a\x45\xdf\xa3":
        return "webm"
    if head[:3] == b"ID3":
        return "mp3"
    if len(head) > 1 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0:
        return "mp3" if head[1] & 0x06 else "aac"
    raise InvalidRequest(f"{_FIELD}: expected {_ACCEPTED}, and it is none of them", field=_FIELD)


def probe(content: bytes, longest_seconds: float) -> None:
    """Decode the beginning; raises as `read` does where even that cannot be done."""
    next(_blocks(content, longest_seconds), None)


def read(content: bytes, longest_seconds: float) -> Samples:
    """Return the sound at 16 kHz, all channels in one.

    Raises InvalidRequest where it cannot be decoded, RequestTooLarge where it lasts too long, however small it is.
    """
    found: list[Samples] = []
    left = longest_seconds * RATE
    for block in _blocks(content, longest_seconds):
        left -= len(block)
        if left < 0:
            raise _longer_than(longest_seconds)
        found.append(block)
    samples = np.concatenate(found) if found else np.zeros(0, np.float32)
    if len(samples) < SHORTEST_SECONDS * RATE:
        raise InvalidRequest(
            f"{_FIELD}: expected at least {SHORTEST_SECONDS} seconds of sound, got"
            f" {len(samples) / RATE:.3f}",
            field=_FIELD,
        )
    return samples


def _blocks(content: bytes, longest_seconds: float) -> Iterator[Samples]:
    kind = container(content)
    if kind == "m4a" and tables.too_long(content, math.ceil(longest_seconds * _MOST_PACKETS)):
        # Before it is opened: a decoder makes room for what the tables claim.
        raise _longer_than(longest_seconds)
    return _by_codec(content, kind) if kind in _DEMUXERS else _by_libsndfile(content)


def _by_libsndfile(content: bytes) -> Iterator[Samples]:
    try:
        with soundfile.SoundFile(io.BytesIO(content)) as file:
            if file.channels > _MOST_CHANNELS or file.samplerate not in _RATES:
                raise InvalidRequest(
                    f"{_FIELD}: {file.channels} channels at {file.samplerate} Hz are not accepted",
                    field=_FIELD,
                )
            resampler = Resampler(file.samplerate, RATE)
            # Block by block: the header's number of frames may be anything.
            while len(block := file.read(_BLOCK_FRAMES, dtype="float32", always_2d=True)):
                yield resampler.feed(_mixed(block))
            yield resampler.end()
    except (soundfile.SoundFileError, RuntimeError) as error:
        raise _undecodable(str(error)) from None


_DEMUXERS = {"m4a": "mov", "webm": "matroska", "aac": "aac"}
"""Named, so that no playlist or other format that opens files and addresses is ever tried."""


def _by_codec(content: bytes, kind: str) -> Iterator[Samples]:
    try:
        import av
    except ModuleNotFoundError:
        reason = f"{kind} needs codecs that are not installed: pip install '{CODECS}'"
        raise UnsupportedField(_FIELD, reason) from None
    try:
        with av.open(io.BytesIO(content), format=_DEMUXERS[kind]) as opened:
            if not opened.streams.audio:
                raise _undecodable("it has no sound")
            resampler = av.AudioResampler(format="flt", layout="mono", rate=RATE)
            for frame in opened.decode(opened.streams.audio[0]):
                for piece in resampler.resample(frame):
                    yield _finite(piece.to_ndarray()[0])
            for piece in resampler.resample(None):
                yield _finite(piece.to_ndarray()[0])
    except (av.FFmpegError, ValueError) as error:
        raise _undecodable(str(error)) from None


def _mixed(block: Samples) -> Samples:
    return _finite(block[:, 0] if block.shape[1] == 1 else block.mean(axis=1, dtype=np.float32))


def _finite(block: Samples) -> Samples:
    if not np.isfinite(block).all():
        raise _undecodable("it has samples that are no numbers")
    # A file of floats may hold any; louder than full scale is clipped, as in every other format.
    return np.clip(block, -1.0, 1.0).astype(np.float32, copy=False)


def _longer_than(seconds: float) -> RequestTooLarge:
    return RequestTooLarge(
        f"{_FIELD}: lasts longer than the {seconds:g} seconds that are accepted", field=_FIELD
    )


def _undecodable(reason: str) -> InvalidRequest:
    return InvalidRequest(f"{_FIELD}: cannot be decoded: {reason.strip()[:200]}", field=_FIELD)
