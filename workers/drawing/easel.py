"""Take requests in: fill in what the model would choose, and refuse what it does not have, or has no room for."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import mlx.core as mx

from mlxd.protocol import openai_images as wire
from mlxd.protocol.errors import InvalidRequest, UnsupportedField
from mlxd.workers.drawing import sizes
from mlxd.workers.drawing.appetite import Appetite
from mlxd.workers.drawing.family import Family
from mlxd.workers.drawing.picture import Draw
from mlxd.workers.media.limits import MediaLimits
from mlxd.workers.media.picture import BadPicture, decode

_SEEDS = 1 << 32


@dataclass(frozen=True, slots=True, eq=False)
class Easel:
    """Know what one model can be asked for; used beside the main thread."""

    family: Family
    appetite: Appetite
    weights_bytes: int
    most_pixels: int
    """Of one picture that is drawn."""
    limits: MediaLimits

    def sources(self, files: Sequence[bytes]) -> list[Any]:
        """Return the pictures of an edit; raises CallerError for what is none, or too many."""
        most = self.family.most_sources
        if not files:
            raise InvalidRequest("image: expected an upload", field="image")
        if len(files) > most:
            raise InvalidRequest(f"image: this model takes {most} at once", field="image")
        return [self._decoded(content) for content in files]

    def _decoded(self, content: bytes) -> Any:
        if len(content) > self.limits.file_bytes:
            most = self.limits.file_bytes
            raise InvalidRequest(f"image: expected at most {most} bytes", field="image")
        try:
            return decode(content, self.limits.pixels, self.most_pixels)
        except BadPicture as bad:
            raise InvalidRequest(f"image: {bad}", field="image") from bad

    def asked(self, body: wire.ImagesRequest, sources: Sequence[Any] = ()) -> Draw:
        """Return what the model is asked for; raises CallerError naming the field it cannot follow."""
        width, height = self._size(body.size, sources)
        guidance = self._guidance(body, edits=bool(sources))
        strength = body.strength if isinstance(body, wire.EditRequest) else None
        if strength is not None and not self.family.has_strength:
            raise UnsupportedField("strength", "this model has none")
        ask = Draw(
            prompt=body.prompt.strip(),
            width=width,
            height=height,
            seeds=_seeds(body),
            steps=self._steps(body.steps),
            guidance=guidance,
            negative_prompt=self._negative(body.negative_prompt, guidance),
            previews=body.partial_images or 0,
            sources=tuple(sources),
            strength=strength,
        )
        if self.family.steps(ask) < 1:
            raise InvalidRequest("strength: leaves none of these steps", field="strength")
        return ask

    def patches(self, ask: Draw) -> int:
        """Count what a picture is made of, which is what its usage names."""
        return (ask.width // self.family.multiple) * (ask.height // self.family.multiple)

    def _size(self, text: str | None, sources: Sequence[Any]) -> tuple[int, int]:
        family = self.family
        size = sizes.of(text)
        if size is None and sources:
            size = sizes.like(
                sources[0].size, multiple=family.multiple, most_pixels=self.most_pixels, least=family.least_side
            )  # fmt: skip
        elif size is None:
            size = sizes.usual(multiple=family.multiple, most_pixels=self.most_pixels)
        sizes.check(
            size,
            multiple=family.multiple,
            least=family.least_side,
            most=family.most_side,
            most_pixels=self.most_pixels,
        )
        needed = self.appetite.bytes(size[0] * size[1])
        room = mx.get_memory_limit() - self.weights_bytes
        if needed > room:
            width, height = size
            raise InvalidRequest(
                f"size: drawing {width}x{height} takes about {needed} bytes, and {max(room, 0)} are left beside the "
                "model",
                field="size",
            )
        return size

    def _steps(self, wanted: int | None) -> int:
        if wanted is None:
            return self.family.default_steps
        if wanted < self.family.least_steps:
            least = self.family.least_steps
            raise InvalidRequest(f"steps: expected at least {least}, got {wanted}", field="steps")
        return wanted

    def _guidance(self, body: wire.ImagesRequest, *, edits: bool) -> float:
        if body.guidance is None:
            return self.family.editing_guidance if edits else self.family.default_guidance
        if body.guidance > self.family.most_guidance:
            most = self.family.most_guidance
            raise InvalidRequest(
                f"guidance: this model takes at most {most:g}, got {body.guidance:g}",
                field="guidance",
            )
        return body.guidance

    def _negative(self, wanted: str | None, guidance: float) -> str | None:
        if not wanted:
            return None
        if not self.family.has_negative:
            raise UnsupportedField("negative_prompt", "this model takes none")
        if guidance <= 1:
            raise InvalidRequest(
                "negative_prompt: has an effect only with guidance above 1", field="negative_prompt"
            )
        return wanted


def _seeds(body: wire.ImagesRequest) -> tuple[int, ...]:
    first = secrets.randbelow(_SEEDS) if body.seed is None else body.seed
    return tuple(first + number for number in range(body.n or 1))
