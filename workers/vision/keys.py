"""Give prompts with more than text keys for the prompt cache: what looks or sounds different is never the same."""

from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

import numpy as np

from mlxd.workers.media.film import Film
from mlxd.workers.vision.hearing import Sound
from mlxd.workers.vision.reading import Arrays
from mlxd.workers.vision.runs import Run

PICTURE = 1 << 31
"""Set in the number of a token that is part of a picture, and in no token of text."""
_DIGEST = 32


def key(tokens: Sequence[int], found: Sequence[Run], digests: Sequence[bytes]) -> tuple[int, ...]:
    """Return the tokens with numbers in each run that its digest makes, one digest a run."""
    numbers = np.array(tokens, dtype=np.uint32)
    for run, digest in zip(found, digests, strict=True):
        numbers[run.start : run.stop] = _numbers(digest, run.stop - run.start)
    return tuple(numbers.tolist())


def digests(pictures: Sequence[Any], inputs: Arrays, count: int) -> list[bytes]:
    """Return a digest for each of so many runs: of its picture or tile, or of all where it cannot be told which."""
    tiles = inputs.get("pixel_values")
    if count == len(pictures):
        return [_digest(picture.size, picture.tobytes()) for picture in pictures]
    if isinstance(tiles, np.ndarray):
        tiles = tiles[0] if tiles.ndim == 5 else tiles
        if len(tiles) == count:
            return [_digest(tile.shape, tile.tobytes()) for tile in tiles]
    every = b"".join(_digest(picture.size, picture.tobytes()) for picture in pictures)
    return [_digest((), every)] * count


def film_digests(films: Sequence[Film], groups: Sequence[int], count: int) -> list[bytes]:
    """Return a digest for each of so many runs: of its film, or of all of them where it cannot be told which."""
    each = [
        _digest(
            film.frames.shape, repr((film.times, film.seconds)).encode() + film.frames.tobytes()
        )
        for film in films
    ]
    if count == len(films):
        return each
    if count == sum(groups):
        return [digest for digest, runs in zip(each, groups, strict=True) for _ in range(runs)]
    return [_digest((), b"".join(each))] * count


def sound_digests(sounds: Sequence[Sound]) -> list[bytes]:
    """Return a digest for each sound."""
    return [_digest(sound.samples.shape, b"heard" + sound.samples.tobytes()) for sound in sounds]


def _digest(shape: tuple[int, ...], content: bytes) -> bytes:
    return blake2b(
        content, digest_size=_DIGEST, person=b"mlxd-seen", key=str(shape).encode()
    ).digest()


def _numbers(digest: bytes, count: int) -> Any:
    """Return as many numbers as wanted, each with 31 bits of the digest, the first eight with all of it."""
    stream = b"".join(
        blake2b(digest, digest_size=_DIGEST, salt=block.to_bytes(8, "big")).digest()
        for block in range(-(-count * 4 // _DIGEST))
    )
    return np.frombuffer(stream, dtype=np.uint32)[:count] | np.uint32(PICTURE)
