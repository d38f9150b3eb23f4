"""Write a picture as a file."""

import io

from PIL import Image

from mlxd.workers.drawing.picture import Pixels

BEST = 100


def write(pixels: Pixels, output_format: str, compression: int | None = None) -> bytes:
    """Return a file of this format; `compression` is the quality, in percent, of those that lose some."""
    content = io.BytesIO()
    picture = Image.fromarray(pixels)
    quality = BEST if compression is None else compression
    match output_format:
        case "jpeg":
            picture.save(content, "JPEG", quality=max(quality, 1), subsampling=0)
        case "webp":
            picture.save(content, "WEBP", quality=quality)
        case _:
            picture.save(content, "PNG")
    return content.getvalue()
