"""Turn the sounds of a prompt into what the half of a model that hears them takes, and let it hear each alone.

What mlx-vlm does for a prompt with several sounds gives the later ones what belongs to the padding of the first.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import mlx.core as mx
import numpy as np

from mlxd.protocol.errors import CallerError, InvalidRequest, RequestTooLarge, UnsupportedField
from mlxd.workers.chat.content import SoundPart
from mlxd.workers.vision.runs import Run

RATE = 16000
EXTRA = "mlxd[audio]"
"""The extra with the codecs."""
_FIELD = "file: "


@dataclass(frozen=True, slots=True)
class Sound:
    """Hold samples of one channel, whole tokens of them."""

    samples: Any


@dataclass(frozen=True, slots=True)
class Heard:
    """Hold what is heard at one place of a prompt."""

    run: Run
    features: Any
    """Numbers by moment and pitch."""


@dataclass(frozen=True, slots=True)
class Ears:
    """Say how much of a sound a token is, and how many tokens one sound may have."""

    samples: int
    most: int

    @classmethod
    def of(cls, processor: Any) -> "Ears | None":
        """Return the ears of a processor; None where it has none, or hears at another rate than sounds are read."""
        extractor = getattr(processor, "feature_extractor", None)
        milliseconds = getattr(processor, "audio_ms_per_token", None)
        most = getattr(processor, "audio_seq_length", None)
        if getattr(extractor, "sampling_rate", None) != RATE or not milliseconds or not most:
            return None
        return cls(RATE * int(milliseconds) // 1000, int(most))

    def read(self, content: bytes, part: SoundPart) -> Sound:
        """Return a sound; raises CallerError naming the part that is none, or longer than the model hears."""
        try:
            from mlxd.workers.sound import reading
        except ModuleNotFoundError:
            reason = f"sounds need codecs that are not installed: pip install '{EXTRA}'"
            raise UnsupportedField(part.field, reason) from None
        try:
            samples = reading.read(content, self.most * self.samples / RATE)
        except CallerError as error:
            raise _of_part(error, part.field) from None
        # Silence makes the last token whole: else it would be counted, and nothing heard for it.
        missing = math.ceil(len(samples) / self.samples) * self.samples - len(samples)
        return Sound(np.pad(samples, (0, missing)))


def _of_part(error: CallerError, field: str) -> CallerError:
    """Return what is wrong with a sound, said of the field that holds it."""
    reason = error.message.removeprefix(_FIELD)
    if isinstance(error, UnsupportedField):
        return UnsupportedField(field, reason)
    kind = RequestTooLarge if isinstance(error, RequestTooLarge) else InvalidRequest
    return kind(f"{field}: {reason}", field=field)


def apart(made: dict[str, Any], runs: Sequence[Run]) -> tuple[Heard, ...]:
    """Take what is heard out of what a processor made, each without what another was longer by."""
    features, masks = made.pop("input_features", None), made.pop("input_features_mask", None)
    if features is None or masks is None:
        return ()
    return tuple(
        Heard(run, np.asarray(row)[np.asarray(mask).astype(bool)])
        for run, row, mask in zip(runs, features, masks, strict=True)
    )


def embedded(model: Any, embeddings: mx.array, heard: Sequence[Heard]) -> mx.array:
    """Return a prompt's embeddings with those of its sounds in their places."""
    for sound in heard:
        features = mx.array(sound.features)[None]
        found, _ = model.audio_tower(features, mx.zeros(features.shape[:2], dtype=mx.bool_))
        words = model.embed_audio(found).astype(embeddings.dtype)
        length = sound.run.stop - sound.run.start
        embeddings[:, sound.run.start : sound.run.stop] = words[:, :length]
    return embeddings
