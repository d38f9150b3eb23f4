"""Turn sound into the mel spectrum that Whisper reads, a stretch at a time: of hours at once it would be gigabytes."""

import math

import mlx.core as mx
import numpy as np
from mlx_audio.dsp import hanning, mel_filters, stft

from mlxd.workers.sound.samples import Samples

RATE = 16000
HOP = 160
FRAMES_PER_SECOND = RATE // HOP
WINDOW = 3000
"""Frames the model hears at once: 30 seconds."""
_FFT = 400
_BLOCK = 6000
_RANGE = 8.0
"""Decades below the loudest moment that count."""
_FLOOR = 1e-10


class Spectrum:
    """Give any stretch of a recording as the library would cut it out of the whole."""

    def __init__(self, samples: Samples, mels: int) -> None:
        self.frames = len(samples) // HOP
        edge = samples[1 : _FFT // 2 + 1][::-1]
        self._samples = np.concatenate((edge, samples))
        self._window = hanning(_FFT, periodic=True)
        self._filters = mel_filters(RATE, _FFT, mels, norm="slaney", mel_scale=None).T
        self._loudest = -math.inf

    def measure(self) -> None:
        """Find the loudest moment, by which all others are judged; needed before the first stretch."""
        starts = range(0, self.frames, _BLOCK)
        self._loudest = max(
            float(self._log(at, min(_BLOCK, self.frames - at)).max()) for at in starts
        )

    def stretch(self, first: int, count: int) -> mx.array:
        """Return `count` frames from `first` on; beyond the end there is silence."""
        found = mx.maximum(self._log(first, count), self._loudest - _RANGE)
        return (found + 4.0) / 4.0

    def _log(self, first: int, count: int) -> mx.array:
        begin = first * HOP
        length = (count - 1) * HOP + _FFT
        piece = self._samples[begin : begin + length]
        padded = np.pad(piece, (0, length - len(piece)))
        found = stft(
            mx.array(padded), window=self._window, n_fft=_FFT, hop_length=HOP, center=False
        )
        power: mx.array = found.abs().square() @ self._filters
        return mx.log10(mx.maximum(power, _FLOOR))
