"""Change the sample rate of a sound that comes in blocks, exactly as if it had come at once."""

from fractions import Fraction
from typing import cast

import numpy as np
from scipy import signal

from mlxd.workers.sound.samples import Samples

_ZEROS = 64
_ROLLOFF = 0.9475937167399596
_BETA = 14.769656459379492
"""A long Kaiser filter; these are what resampy calls its best."""
_FINEST = 1000
"""Largest denominator of the ratio: an odd rate is off by at most a millionth, and its filter stays short."""
_BLOCK_FRAMES = 1 << 16


class Resampler:
    """Take blocks at one rate, give blocks at another, of `least` frames or more where there are as many."""

    def __init__(self, source: int, target: int, *, least: int = _BLOCK_FRAMES) -> None:
        ratio = Fraction(target, source).limit_denominator(_FINEST)
        self._up, self._down = ratio.numerator, ratio.denominator
        self._same = self._up == self._down
        if self._same:
            return
        longest = max(self._up, self._down)
        taps = 2 * _ZEROS * longest + 1
        self._filter = signal.firwin(taps, _ROLLOFF / longest, window=("kaiser", _BETA))
        reach = -(-_ZEROS * longest // self._up)
        self._context = -(-reach // self._down) * self._down
        """Frames on either side that a block's edges depend on; whole turns of the ratio, so that phases agree."""
        self._held = np.zeros(self._context, np.float32)
        self._least = max(least, self._down)

    def feed(self, block: Samples) -> Samples:
        """Return what can be said so far; up to a moment's worth is held back."""
        if self._same:
            return block
        self._held = np.concatenate((self._held, block))
        ready = len(self._held) - 2 * self._context
        ready -= ready % self._down
        if ready < self._least - self._least % self._down:
            return np.zeros(0, np.float32)
        return self._advance(ready)

    def end(self) -> Samples:
        """Return the rest."""
        if self._same:
            return np.zeros(0, np.float32)
        rest = len(self._held) - self._context
        wanted = -(-rest * self._up // self._down)
        turns = -(-rest // self._down) * self._down
        filled = turns + 2 * self._context - len(self._held)
        self._held = np.concatenate((self._held, np.zeros(filled, np.float32)))
        return self._advance(turns)[:wanted]

    def _advance(self, ready: int) -> Samples:
        """Resample the held frames from `_context` on, `ready` of them, and let go of them."""
        piece = self._held[: ready + 2 * self._context]
        found = signal.resample_poly(piece, self._up, self._down, window=self._filter)
        edge = self._context * self._up // self._down
        self._held = self._held[ready:]
        end = edge + ready * self._up // self._down
        return cast(Samples, found[edge:end].astype(np.float32, copy=False))
