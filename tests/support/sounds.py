"""Make sounds in every container that is accepted."""

import io
from typing import Any

import av
import numpy as np
import soundfile
from numpy.typing import NDArray

Samples = NDArray[np.float32]
_PLAIN = {
    "wav": ("WAV", "PCM_16"),
    "wav-float": ("WAV", "FLOAT"),
    "rf64": ("RF64", "PCM_16"),
    "flac": ("FLAC", "PCM_16"),
    "mp3": ("MP3", None),
    "ogg": ("OGG", "VORBIS"),
    "opus": ("OGG", "OPUS"),
}
_CODED = {
    "m4a": ("ipod", "aac"),
    "mp4": ("mp4", "aac"),
    "webm": ("webm", "libopus"),
    "aac": ("adts", "aac"),
}
LOSSLESS = ("wav", "rf64", "flac")
"""Kinds that hold 16-bit samples as they are."""
LOSSY = ("mp3", "ogg", "opus", "m4a", "mp4", "webm", "aac")


def chirp(seconds: float, rate: int = 16000, *, pitch: float = 100.0) -> Samples:
    """Return a tone that rises."""
    time = np.arange(int(seconds * rate)) / rate
    return (0.2 * np.sin(2 * np.pi * (pitch + 30 * time) * time)).astype(np.float32)


def file(kind: str, samples: Samples, rate: int = 16000) -> bytes:
    """Return a file of this kind."""
    if kind in _CODED:
        return _coded(*_CODED[kind], samples, rate)
    container, codec = _PLAIN[kind]
    written = io.BytesIO()
    soundfile.write(written, samples, rate, format=container, subtype=codec)
    return written.getvalue()


def _coded(container: str, codec: str, samples: Samples, rate: int) -> bytes:
    written = io.BytesIO()
    wanted = 48000 if codec == "libopus" else rate
    with av.open(written, "w", format=container) as opened:
        stream: Any = opened.add_stream(codec, rate=wanted, layout="mono")
        frame = av.AudioFrame.from_ndarray(samples[None, :], format="fltp", layout="mono")
        frame.sample_rate = rate
        resampler = av.AudioResampler(format=stream.format.name, layout="mono", rate=wanted)
        for piece in [*resampler.resample(frame), *resampler.resample(None)]:
            opened.mux(stream.encode(piece))
        opened.mux(stream.encode(None))
    return written.getvalue()
