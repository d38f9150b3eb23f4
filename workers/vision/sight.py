"""Turn pictures and the text around them into tokens and what the vision half looks at; beside the engine's thread."""

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
from mlx_vlm.utils import load_image_processor, load_processor, prepare_inputs

from mlxd.protocol.errors import InvalidRequest
from mlxd.workers.chat.content import ImagePart
from mlxd.workers.media.files import Files
from mlxd.workers.media.limits import MediaLimits
from mlxd.workers.media.picture import BadPicture, decode
from mlxd.workers.vision import keys, markers
from mlxd.workers.vision.language import Language
from mlxd.workers.vision.reading import PictureReading

MOST_SEEN = 64 << 20
"""Pixels of all pictures of a request, once each has been scaled down."""


class Sight:
    """Know how one model's pictures become part of its prompts; without the model, prompts can be counted only."""

    def __init__(
        self,
        config: Any,
        processor: Any,
        limits: MediaLimits,
        model: Any = None,
        language: Language | None = None,
    ) -> None:
        self._model = model
        self._language = language
        self._processor = processor
        self._limits = limits
        self._files = Files(limits)
        self._markers = markers.of(processor)
        self._placeholder = _placeholder(config)
        self.marker = marker(processor, self._placeholder)
        self._one_at_a_time = threading.Lock()
        """A processor's tokenizer is not to be used by two threads, nor memory by two requests' pictures."""

    def plain(self, text: str) -> str:
        """Return a caller's text in which nothing stands for a picture."""
        return self._markers.plain(text)

    async def pictures(self, parts: Sequence[ImagePart]) -> list[Any]:
        """Return the pictures' files; raises CallerError naming the part that cannot be had."""
        return list(await self._files.get(parts))

    def look(
        self, text: str, pictures: Sequence[Any], parts: Sequence[ImagePart]
    ) -> tuple[tuple[int, ...], PictureReading]:
        """Return the tokens of a prompt whose markers are these pictures, and how it is read."""
        with self._one_at_a_time:
            shown = self._decoded(pictures, parts)
            try:
                made = prepare_inputs(
                    self._processor,
                    images=list(shown),
                    prompts=text,
                    image_token_index=self._placeholder,
                    add_special_tokens=False,
                )
            except Exception as error:  # whatever a model's own code has against a size
                field = parts[0].field
                raise InvalidRequest(
                    f"{field}: the model's image processor refuses it: {error}", field=field
                ) from error
            return self._reading(made, shown, parts)

    def _decoded(self, files: Sequence[bytes], parts: Sequence[ImagePart]) -> list[Any]:
        shown, size = [], 0
        for content, part in zip(files, parts, strict=True):
            try:
                picture = decode(content, self._limits.pixels, part.max_pixels)
            except BadPicture as bad:
                raise InvalidRequest(f"{part.field}: {bad}", field=part.field) from bad
            size += picture.width * picture.height
            if size > MOST_SEEN:
                reason = f"all images of a request may have {MOST_SEEN} pixels"
                raise InvalidRequest(f"{part.field}: {reason}", field=part.field)
            shown.append(picture)
        return shown

    def _reading(
        self, made: dict[str, Any], shown: Sequence[Any], parts: Sequence[ImagePart]
    ) -> tuple[tuple[int, ...], PictureReading]:
        inputs = {
            name: np.array(value) if isinstance(value, mx.array) else value
            for name, value in made.items()
            if value is not None
        }
        tokens = tuple(int(token) for token in inputs.pop("input_ids").reshape(-1))
        found = keys.runs(tokens, self._placeholder)
        if len(found) < len(shown):
            field = parts[-1].field
            raise InvalidRequest(
                f"{field}: the prompt has places for {len(found)} of {len(shown)} images",
                field=field,
            )
        digests = keys.digests(shown, inputs, len(found))
        return tokens, PictureReading(
            self._model, self._language, tokens, inputs, keys.key(tokens, found, digests), found
        )


def load(folder: Path, config: Any, *, trusted: bool) -> Any:
    """Return the folder's processor; runs code of the model's only where it is trusted."""
    image_processor = load_image_processor(folder, trust_remote_code=trusted)
    eos = getattr(config, "eos_token_id", None)
    processor = load_processor(folder, True, eos_token_ids=eos, trust_remote_code=trusted)
    if image_processor is not None:
        processor.image_processor = image_processor
    return processor


def marker(processor: Any, placeholder: int) -> str:
    """Return the text that the processor makes a picture of."""
    tokenizer = getattr(processor, "tokenizer", processor)
    for name in ("boi_token", "image_token"):
        text = getattr(processor, name, None) or getattr(tokenizer, name, None)
        if isinstance(text, str) and text:
            return text
    return str(tokenizer.convert_ids_to_tokens(placeholder))


def _placeholder(config: Any) -> int:
    for name in ("image_token_id", "image_token_index"):
        found = getattr(config, name, None)
        if isinstance(found, int):
            return found
    raise ValueError("its config.json names no image token")
