"""Make files that are not what they say they are, or more than anybody should decode."""

import functools
import io
import struct
import zlib

from PIL import Image
from support.seeing import picture


def png_head(width: int, height: int) -> bytes:
    """Return a PNG that claims a size and has hardly a pixel."""
    head = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = b"IDAT" + zlib.compress(b"\0" * 64)
    return b"\x89PNG\r\n\x1a\n" + b"".join(map(_chunk, (head, body, b"IEND")))


def _chunk(content: bytes) -> bytes:
    return struct.pack(">I", len(content) - 4) + content + struct.pack(">I", zlib.crc32(content))


@functools.cache
def bomb(side: int = 13000) -> bytes:
    """Return a small file that decodes to a gigantic picture."""
    file = io.BytesIO()
    Image.new("1", (side, side)).save(file, "PNG", compress_level=9)
    return file.getvalue()


def turned(way: int) -> bytes:
    """Return a JPEG, 40 wide and 20 high as stored, that says how it was held."""
    file, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = way
    Image.new("RGB", (40, 20), "red").save(file, "JPEG", exif=exif)
    return file.getvalue()


@functools.cache
def hostile() -> dict[str, bytes]:
    """Return files to refuse, by what is wrong with them."""
    whole, jpeg = picture(1), picture(1, kind="JPEG")
    tiff = io.BytesIO()
    Image.new("RGB", (8, 8)).save(tiff, "TIFF")
    return {
        "bomb": bomb(),
        "a billion pixels": png_head(31623, 31623),
        "more pixels than a number holds": png_head(2**31 - 1, 2**31 - 1),
        "no pixels": png_head(0, 10),
        "a line": png_head(20000, 1),
        "truncated png": whole[: len(whole) // 2],
        "truncated jpeg": jpeg[: len(jpeg) // 3],
        "only a head": whole[:30],
        "postscript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n",
        "svg": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        "pdf": b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\n",
        "tiff": tiff.getvalue(),
        "zip": b"PK\x03\x04" + b"\0" * 60,
        "text": b"hello",
        "noise": bytes(range(256)) * 8,
    }
