"""Read the size of a picture as callers write it."""

import math
import re

from mlxd.protocol.errors import InvalidRequest

USUAL = 1024
"""Side of a picture whose size is left to the model."""
SLIMMEST = 8
"""Times one side may be longer than the other."""
LONGEST_SIDE = 8192
"""Of what a family itself sets no limit to."""
_SIZE = re.compile(r"(\d{1,6})[xX\u00d7](\d{1,6})")


def of(text: str | None) -> tuple[int, int] | None:
    """Return width and height, None where the choice is left to the model; raises InvalidRequest."""
    if text is None or text == "auto":
        return None
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        raise _refused(f"expected WIDTHxHEIGHT, such as 1024x1024, or auto, got {text[:32]!r}")
    return int(found[1]), int(found[2])


def check(
    size: tuple[int, int],
    *,
    multiple: int,
    least: int,
    most_pixels: int,
    most: int = LONGEST_SIDE,
) -> None:
    """Raise InvalidRequest for a size the model cannot draw or may not."""
    width, height = size
    for name, side in (("width", width), ("height", height)):
        if side < least or side % multiple:
            raise _refused(
                f"expected a {name} of at least {least} that is a multiple of {multiple}, got {side}"
            )
        if side > most:
            raise _refused(f"expected a {name} of at most {most}, got {side}")
    if width * height > most_pixels:
        raise _refused(f"expected at most {most_pixels} pixels, got {width}x{height}")
    if max(width, height) > SLIMMEST * min(width, height):
        raise _refused(f"one side is more than {SLIMMEST} times the other: {width}x{height}")


def usual(*, multiple: int, most_pixels: int) -> tuple[int, int]:
    """Return the size of a picture whose caller names none."""
    return like((USUAL, USUAL), multiple=multiple, most_pixels=most_pixels)


def like(
    source: tuple[int, int], *, multiple: int, most_pixels: int, least: int = 0
) -> tuple[int, int]:
    """Return the size nearest below a source's that the model draws, in about its shape."""
    width, height = source
    shrink = min(1.0, math.sqrt(min(most_pixels, USUAL**2) / (width * height)))
    smallest = max(multiple, least)
    return (
        max(int(width * shrink) // multiple * multiple, smallest),
        max(int(height * shrink) // multiple * multiple, smallest),
    )


def _refused(why: str) -> InvalidRequest:
    return InvalidRequest(f"size: {why}", field="size")
