"""Own a model of mlx-audio that speaks: what it can be asked for, and its sound as it comes."""

import inspect
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np

from mlxd.protocol import voices
from mlxd.protocol.errors import InternalError, ModelLoadFailed
from mlxd.workers.sound.samples import Samples
from mlxd.workers.speech import phonemes
from mlxd.workers.speech.sentences import split

_INTERVAL = 0.4
"""Seconds of sound a stretch has, for models that can be told."""
_INSTRUCTIONS = ("instruct", "instructions", "description", "caption")
"""What different models call the way they are to speak."""
_TRIAL = "One."


@dataclass(frozen=True, slots=True)
class Speak:
    """Ask for a text to be read aloud."""

    text: str
    voice: str | None
    speed: float | None = None
    instructions: str | None = None


class Speaker:
    """Hold the model; voices are names it brought along, never paths or addresses, which the library would follow."""

    def __init__(self, model: Any, folder: Path, config: Mapping[str, object]) -> None:
        self._model = model
        self._by_phonemes = voices.is_kokoro(config)
        if self._by_phonemes:
            phonemes.install(model, folder)
        parameters = inspect.signature(model.generate).parameters
        self._streams = "stream" in parameters
        self._interval = "streaming_interval" in parameters
        self._instructed = next((name for name in _INSTRUCTIONS if name in parameters), None)
        self.voices = voices.names(folder)
        self.default_voice = voices.default(self.voices)
        self.sample_rate = int(model.sample_rate)
        self.has_speed = "speed" in parameters
        self.has_instructions = self._instructed is not None

    def speak(self, ask: Speak) -> Generator[Samples]:
        """Yield the sound as it is made; leaving off early stops the model."""
        mx.random.seed(0)  # the same text gives the same sound
        for text in [ask.text] if self._streams else split(ask.text):
            sound = self._model.generate(text, **self._options(ask))
            try:
                for result in sound:
                    if len(samples := _samples(result.audio)):
                        yield samples
            finally:
                if hasattr(sound, "close"):
                    sound.close()

    def prove(self) -> None:
        """Say something; raises ModelLoadFailed where no sound comes of it."""
        sound = self.speak(Speak(_TRIAL, self.default_voice))
        try:
            if next(sound, None) is None:
                raise ModelLoadFailed("the model makes no sound")
        except InternalError as error:
            raise ModelLoadFailed(error.message) from None
        finally:
            sound.close()

    def _options(self, ask: Speak) -> dict[str, Any]:
        options: dict[str, Any] = {}
        if ask.voice is not None:
            options["voice"] = ask.voice
            if self._by_phonemes:
                options["lang_code"] = phonemes.language(ask.voice)
        if ask.speed is not None and self.has_speed:
            options["speed"] = ask.speed
        if ask.instructions and self._instructed:
            options[self._instructed] = ask.instructions
        if self._streams:
            options["stream"] = True
        if self._interval:
            options["streaming_interval"] = _INTERVAL
        return options


def _samples(audio: mx.array) -> Samples:
    """Return one channel of numbers; raises InternalError where they are none."""
    found = np.array(audio.astype(mx.float32))
    while found.ndim > 1:
        found = found.mean(axis=int(np.argmin(found.shape)))
    if not np.isfinite(found).all():
        raise InternalError("the model's output is not finite")
    clipped: Samples = np.clip(found, -1.0, 1.0)
    return clipped
