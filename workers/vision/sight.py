"""Turn pictures, films, sounds and text into tokens and what the vision half looks at; beside the engine's thread."""

import asyncio
import threading
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from mlx_vlm.utils import (
    load_image_processor,
    load_processor,
    prepare_inputs,
    resolve_video_sampling,
)

from mlxd.protocol.errors import InvalidRequest, UnsupportedField
from mlxd.workers import limits
from mlxd.workers.chat.content import FilmPart, MediaPart, SoundPart
from mlxd.workers.media import film
from mlxd.workers.media.files import Files
from mlxd.workers.media.film import BadFilm, Film, NoCodecs, Pace
from mlxd.workers.media.limits import MediaLimits
from mlxd.workers.media.picture import BadPicture, decode
from mlxd.workers.vision import hearing, inputs, keys, markers
from mlxd.workers.vision.hearing import Ears, Sound
from mlxd.workers.vision.language import Language
from mlxd.workers.vision.reading import PictureReading, Timed
from mlxd.workers.vision.runs import Run, runs

MOST_SEEN = 64 << 20
"""Pixels of all pictures and films of a request, once each has been scaled down."""
_NO_BEGINNING = frozenset({"gemma4"})
"""Families whose processors put what a picture begins with around it themselves."""
_DECODING = 2
"""Films and sounds that are decoded at a time."""


class Sight:
    """Know how pictures and films become part of one model's prompts; without the model, these are only counted."""

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
        self.marker = marker(processor, self._placeholder, config)
        self._model_type = str(getattr(config, "model_type", ""))
        self._film_placeholder = film_placeholder(config, self._model_type)
        self.film_marker = _text_of(processor, self._film_placeholder)
        self._ears = ears(config, processor, self._model_type)
        self._sound_placeholder = None if self._ears is None else int(config.audio_token_id)
        self.sound_marker = _text_of(processor, self._sound_placeholder)
        eyes = getattr(config, "vision_config", None)
        self._tokens_per_second = int(getattr(eyes, "tokens_per_second", 0) or 2)
        self._decoding = ThreadPoolExecutor(_DECODING, thread_name_prefix="mlxd-film")
        self._one_at_a_time = threading.Lock()
        """A processor's tokenizer is not to be used by two threads, nor memory by two requests' pictures."""

    def plain(self, text: str) -> str:
        """Return a caller's text in which nothing stands for a picture, a film or a sound."""
        return self._markers.plain(text)

    async def pictures(self, parts: Sequence[MediaPart]) -> list[Any]:
        """Return pictures' files, films' frames and sounds' samples; raises CallerError naming the part at fault."""
        files = await self._files.get(parts)
        return [
            await self._taken(content, part) for content, part in zip(files, parts, strict=True)
        ]

    async def _taken(self, content: bytes, part: MediaPart) -> Any:
        if isinstance(part, FilmPart):
            return await self._film(content, part)
        if isinstance(part, SoundPart) and self._ears is not None:
            read = partial(self._ears.read, content, part)
            return await asyncio.get_running_loop().run_in_executor(self._decoding, read)
        return content

    async def _film(self, content: bytes, part: FilmPart) -> Film:
        usual = resolve_video_sampling(self._processor, {})
        pace = Pace(part.fps or usual.fps, usual.min_frames, usual.max_frames)
        try:
            return await asyncio.get_running_loop().run_in_executor(
                self._decoding, lambda: film.decode(content, self._limits, pace, part.max_pixels)
            )
        except BadFilm as bad:
            raise InvalidRequest(f"{part.field}: {bad}", field=part.field) from bad
        except NoCodecs:
            reason = f"films need codecs that are not installed: pip install '{film.EXTRA}'"
            raise UnsupportedField(part.field, reason) from None

    def look(
        self, text: str, pictures: Sequence[Any], parts: Sequence[MediaPart]
    ) -> tuple[tuple[int, ...], PictureReading]:
        """Return the tokens of a prompt whose markers are these pictures and films, and how it is read."""
        with self._one_at_a_time:
            shown = self._decoded(pictures, parts)
            images, films, sounds = _sorted(shown)
            try:
                made = prepare_inputs(
                    self._processor,
                    images=images or None,
                    videos=[found.frames for found in films] or None,
                    video_metadata=[inputs.metadata(found) for found in films] or None,
                    audio=[found.samples for found in sounds] or None,
                    prompts=text,
                    image_token_index=self._placeholder,
                    add_special_tokens=False,
                )
            except Exception as error:  # whatever a model's own code has against a size
                if limits.is_device_error(error):
                    raise
                first = parts[0]
                raise InvalidRequest(
                    f"{first.field}: the model's {first.medium} processor refuses it: {error}",
                    field=first.field,
                ) from error
            return self._reading(made, shown, parts)

    def _decoded(self, files: Sequence[Any], parts: Sequence[MediaPart]) -> list[Any]:
        shown, size = [], 0
        for content, part in zip(files, parts, strict=True):
            try:
                found = (
                    content
                    if isinstance(content, Film | Sound)
                    else decode(content, self._limits.pixels, part.max_pixels)
                )
            except BadPicture as bad:
                raise InvalidRequest(f"{part.field}: {bad}", field=part.field) from bad
            if isinstance(found, Film):
                size += found.pixels
            elif not isinstance(found, Sound):
                size += found.width * found.height
            if size > MOST_SEEN:
                reason = f"all {part.words} of a request may have {MOST_SEEN} pixels"
                raise InvalidRequest(f"{part.field}: {reason}", field=part.field)
            shown.append(found)
        return shown

    def _reading(
        self, made: dict[str, Any], shown: Sequence[Any], parts: Sequence[MediaPart]
    ) -> tuple[tuple[int, ...], PictureReading]:
        found = inputs.arrays(made)
        tokens = tuple(int(token) for token in found.pop("input_ids").reshape(-1))
        images, films, sounds = _sorted(shown)
        grids = (found.get("image_grid_thw"), found.get("video_grid_thw"))
        groups = inputs.groups(found)
        seen = runs(tokens, self._placeholder)
        rolling = runs(tokens, self._film_placeholder if films else None)
        audible = runs(tokens, self._sound_placeholder if sounds else None)
        _check_places(len(seen), len(images), parts)
        _check_places(len(rolling), len(films), parts)
        _check_places(len(audible), len(sounds), parts)
        digests = dict(zip(seen, keys.digests(images, found, len(seen)), strict=True))
        digests |= zip(rolling, keys.film_digests(films, groups, len(rolling)), strict=True)
        digests |= zip(audible, keys.sound_digests(sounds), strict=True)
        places = tuple(sorted(digests, key=lambda run: run.start))
        told = None
        if images and films and not inputs.tells_apart(self._model_type):
            in_blocks = len(rolling) == sum(groups)
            are_films = [isinstance(item, Film) for item in shown]
            found = inputs.as_pictures(found, are_films, in_blocks=in_blocks)
            told = tuple(
                self._placeholder if token == self._film_placeholder else token for token in tokens
            )
        key = keys.key(tokens, places, [digests[run] for run in places])
        heard = hearing.apart(found, audible)
        return tokens, PictureReading(
            self._model, self._language, tokens, found, key, places, grids,
            self._timed(rolling, films), told, heard,
        )  # fmt: skip

    def _timed(self, places: Sequence[Run], films: Sequence[Film]) -> tuple[Timed, ...]:
        if not inputs.is_timed(self._model_type) or len(places) != len(films):
            return ()
        seconds = getattr(self._processor.video_processor, "temporal_patch_size", 2)
        return tuple(
            Timed(run, self._tokens_per_second * seconds / found.fps)
            for run, found in zip(places, films, strict=True)
        )


def _sorted(shown: Sequence[Any]) -> tuple[list[Any], list[Film], list[Sound]]:
    """Return the pictures, the films and the sounds."""
    films = [item for item in shown if isinstance(item, Film)]
    sounds = [item for item in shown if isinstance(item, Sound)]
    return [item for item in shown if not isinstance(item, Film | Sound)], films, sounds


def _check_places(places: int, count: int, parts: Sequence[MediaPart]) -> None:
    if places < count:
        last = parts[-1]
        reason = f"the prompt has places for {places} of {count} {last.words}"
        raise InvalidRequest(f"{last.field}: {reason}", field=last.field)


def load(folder: Path, config: Any, *, trusted: bool) -> Any:
    """Return the folder's processor; runs code of the model's only where it is trusted."""
    eos = getattr(config, "eos_token_id", None)
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # of pitches too low to be told apart, as the model was trained
        image_processor = load_image_processor(folder, trust_remote_code=trusted)
        processor = load_processor(folder, True, eos_token_ids=eos, trust_remote_code=trusted)
    if image_processor is not None:
        processor.image_processor = image_processor
    return processor


def marker(processor: Any, placeholder: int, config: Any) -> str:
    """Return the text that the processor makes a picture of."""
    tokenizer = _tokenizer(processor)
    names = ("boi_token", "image_token")
    for name in reversed(names) if config.model_type in _NO_BEGINNING else names:
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


def film_placeholder(config: Any, model_type: str) -> int | None:
    """Return the token that films are made of; None for a family that looks at none."""
    if not inputs.takes_films(model_type):
        return None
    for name in ("video_token_id", "video_token_index"):
        found = getattr(config, name, None)
        if isinstance(found, int):
            return found
    return None


def ears(config: Any, processor: Any, model_type: str) -> Ears | None:
    """Return what it takes to let a model hear; None for one that does not."""
    if not inputs.hears(model_type) or getattr(config, "audio_config", None) is None:
        return None
    return Ears.of(processor)


def _text_of(processor: Any, token: int | None) -> str | None:
    return None if token is None else str(_tokenizer(processor).convert_ids_to_tokens(token))


def _tokenizer(processor: Any) -> Any:
    return getattr(processor, "tokenizer", processor)
