"""Read the pictures that the daemon draws, and make some to start from."""

import base64
import io
import json
from typing import Any

import numpy as np
from PIL import Image


def opened(content: bytes) -> Any:
    """Return a file as PIL reads it."""
    picture = Image.open(io.BytesIO(content))
    picture.load()
    return picture


def pixels(b64: str | None) -> Any:
    """Return the numbers of a picture in base64."""
    assert b64 is not None
    return np.asarray(opened(base64.b64decode(b64)).convert("RGB"))


def file(size: tuple[int, int] = (80, 60), kind: str = "PNG") -> bytes:
    """Return a picture's file: red on the left, blue on the right."""
    picture = Image.new("RGB", size, "blue")
    picture.paste("red", (0, 0, size[0] // 2, size[1]))
    content = io.BytesIO()
    picture.save(content, kind)
    return content.getvalue()


def events(text: str) -> list[dict[str, Any]]:
    """Return the events of a stream."""
    lines = (line for line in text.splitlines() if line.startswith("data: "))
    return [json.loads(line.removeprefix("data: ")) for line in lines]
