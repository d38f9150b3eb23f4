"""Decode a picture that a stranger sent: known formats only, its size checked before a pixel is made."""

import io
import math
import warnings
from typing import Any

from PIL import Image, ImageOps

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP")
LONGEST_SIDE = 32768
SLIMMEST = 150
"""Times one side may be longer than the other; the models' own code fails beyond 200."""
SEEN_PIXELS = 16 << 20
"""More than any model looks at: what is larger is scaled down at once."""


class BadPicture(ValueError):
    """Say why a file is no picture that can be shown to a model."""


def decode(content: bytes, most_pixels: int, wanted_pixels: int | None = None) -> Any:
    """Return an upright RGB picture of no more than the wanted pixels; raises BadPicture."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what PIL warns of is refused below, by our own limit
            return _decoded(content, most_pixels, min(wanted_pixels or SEEN_PIXELS, SEEN_PIXELS))
    except BadPicture:
        raise
    except Exception as error:  # whatever a damaged file makes a decoder raise
        formats = ", ".join(name.lower() for name in FORMATS)
        raise BadPicture(f"not a readable picture ({formats}): {type(error).__name__}") from error


def _decoded(content: bytes, most: int, wanted: int) -> Any:
    with Image.open(io.BytesIO(content), formats=FORMATS) as picture:  # reads no more than its head
        width, height = picture.size
        check_size(width, height, most)
        if picture.format == "JPEG":
            scale = math.sqrt(wanted / (width * height))
            if scale < 1:  # the decoder itself makes fewer pixels
                picture.draft("RGB", (math.ceil(width * scale), math.ceil(height * scale)))
        picture.load()
        upright = ImageOps.exif_transpose(picture)
        return _scaled(_without_alpha(upright), wanted)


def check_size(width: int, height: int, most: int) -> None:
    """Raise BadPicture for sizes that are not decoded."""
    if min(width, height) < 1 or width * height > most or max(width, height) > LONGEST_SIDE:
        raise BadPicture(f"expected at most {most} pixels, got {width}x{height}")
    if max(width, height) > SLIMMEST * min(width, height):
        raise BadPicture(f"one side is more than {SLIMMEST} times the other: {width}x{height}")


def _without_alpha(picture: Any) -> Any:
    """Put what is transparent on white, as a page would show it."""
    if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
        above = picture.convert("RGBA")
        page = Image.new("RGBA", above.size, "white")
        return Image.alpha_composite(page, above).convert("RGB")
    return picture.convert("RGB")


def _scaled(picture: Any, wanted: int) -> Any:
    width, height = picture.size
    scale = math.sqrt(wanted / (width * height))
    if scale >= 1:
        return picture
    size = (max(int(width * scale), 1), max(int(height * scale), 1))
    return picture.resize(size, Image.Resampling.BICUBIC)
