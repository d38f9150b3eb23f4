"""Write samples as a file that leaves while it is written: nothing that is out is touched again."""

import io
import struct
from typing import Protocol

import numpy as np
import soundfile

from mlxd.protocol.errors import UnsupportedField
from mlxd.workers.sound.resampling import Resampler
from mlxd.workers.sound.samples import CODECS, Samples

MEDIA_TYPES = {
    "mp3": "audio/mpeg", "opus": "audio/opus", "aac": "audio/aac", "flac": "audio/flac", "wav": "audio/wav",
    "pcm": "audio/pcm",
}  # fmt: skip
PCM_RATE = 24000
"""What OpenAI's clients play bare samples at."""
_UNKNOWN = 0xFFFFFFFF
"""How a wav says that its length is not known yet."""
_LIBSNDFILE = {"mp3": ("MP3", None), "opus": ("OGG", "OPUS"), "flac": ("FLAC", "PCM_16")}
_RATES = {
    "mp3": {8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000},
    "opus": {8000, 12000, 16000, 24000, 48000},
    "aac": {8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000},
    "pcm": {PCM_RATE},
}
_LEAST_FRAMES = 1024


class Writer(Protocol):
    """Take samples, give the bytes that are ready."""

    def feed(self, samples: Samples) -> bytes:
        """Return what may leave now."""
        ...

    def end(self) -> bytes:
        """Return the rest."""
        ...


def start(name: str, rate: int) -> Writer:
    """Begin a file of samples at `rate`; raises UnsupportedField for a format whose codec is not installed."""
    wanted = _rate(name, rate)
    writer: Writer
    if name in _LIBSNDFILE:
        writer = _Encoded(wanted, *_LIBSNDFILE[name])
    elif name == "aac":
        writer = _aac(wanted)
    else:
        writer = _Plain(_wav_head(wanted) if name == "wav" else b"")
    return (
        writer
        if wanted == rate
        else _Resampled(writer, Resampler(rate, wanted, least=_LEAST_FRAMES))
    )


def _rate(name: str, rate: int) -> int:
    rates = _RATES.get(name, {rate})
    return rate if rate in rates else min((r for r in rates if r >= rate), default=max(rates))


def _wav_head(rate: int) -> bytes:
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, rate, rate * 2, 2, 16)
    return (
        struct.pack("<4sI4s", b"RIFF", _UNKNOWN, b"WAVE")
        + form
        + struct.pack("<4sI", b"data", _UNKNOWN)
    )


def _whole(samples: Samples) -> "np.ndarray[tuple[int, ...], np.dtype[np.int16]]":
    return (samples * 32767.0).round().astype("<i2")


class _Plain:
    """Write 16-bit samples after a head."""

    def __init__(self, head: bytes) -> None:
        self._head = head

    def feed(self, samples: Samples) -> bytes:
        head, self._head = self._head, b""
        return head + _whole(samples).tobytes()

    def end(self) -> bytes:
        head, self._head = self._head, b""
        return head


class _Outlet(io.RawIOBase):
    """Be the file a codec writes: what is taken is gone, and later corrections of it are dropped."""

    def __init__(self) -> None:
        self._kept = bytearray()
        self._gone = 0
        self._at = 0

    def take(self) -> bytes:
        """Return what was written since the last call."""
        taken = bytes(self._kept)
        self._gone += len(taken)
        self._kept.clear()
        return taken

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at}.get(whence, self._gone + len(self._kept))
        self._at = max(0, start + offset)
        return self._at

    def write(self, data: "bytes | bytearray | memoryview") -> int:  # type: ignore[override]
        written = bytes(data)
        begin = self._at - self._gone
        self._at += len(written)
        if begin < 0:
            written, begin = written[-begin:], 0
        self._kept[begin : begin + len(written)] = written
        return len(data)


class _Encoded:
    """Write what libsndfile encodes.

    FLAC leaves when all of it is there: many readers take no file whose head does not say how long it is.
    """

    def __init__(self, rate: int, container: str, codec: str | None) -> None:
        self._outlet = _Outlet()
        # At a constant rate an MP3's length can be told from its size: nothing in its head has to say it.
        mode = ("CONSTANT", 0.5) if container == "MP3" else (None, None)
        self._whole = container == "FLAC"
        self._file = soundfile.SoundFile(
            self._outlet, "w", samplerate=rate, channels=1, format=container, subtype=codec,
            bitrate_mode=mode[0], compression_level=mode[1],
        )  # fmt: skip

    def feed(self, samples: Samples) -> bytes:
        self._file.write(samples)
        return b"" if self._whole else self._outlet.take()

    def end(self) -> bytes:
        self._file.close()
        return self._outlet.take()


class _Resampled:
    """Write at another rate."""

    def __init__(self, writer: Writer, resampler: Resampler) -> None:
        self._writer, self._resampler = writer, resampler

    def feed(self, samples: Samples) -> bytes:
        return self._writer.feed(self._resampler.feed(samples))

    def end(self) -> bytes:
        return self._writer.feed(self._resampler.end()) + self._writer.end()


def _aac(rate: int) -> Writer:
    try:
        import av
    except ModuleNotFoundError:
        reason = f"aac needs a codec that is not installed: pip install '{CODECS}'"
        raise UnsupportedField("response_format", reason) from None

    class Aac:
        """Write what FFmpeg encodes, in frames that each say what they are."""

        def __init__(self) -> None:
            self._outlet = _Outlet()
            self._opened = av.open(self._outlet, "w", format="adts")
            self._stream = self._opened.add_stream("aac", rate=rate, layout="mono")

        def feed(self, samples: Samples) -> bytes:
            if len(samples):
                frame = av.AudioFrame.from_ndarray(samples[None, :], format="fltp", layout="mono")
                frame.sample_rate = rate
                self._opened.mux(self._stream.encode(frame))
            return self._outlet.take()

        def end(self) -> bytes:
            self._opened.mux(self._stream.encode(None))
            self._opened.close()
            return self._outlet.take()

    return Aac()
