"""Read the end of a growing file."""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

_BLOCK = 65536
_LOOK_AGAIN_S = 0.2


def last_lines(path: Path, count: int, *, after: int = 0) -> list[str]:
    """Return the last lines, at most `count`, of what stands behind byte `after`."""
    if count <= 0:
        return []
    with path.open("rb") as file:
        end = start = file.seek(0, os.SEEK_END)
        tail = b""
        while start > after and tail.count(b"\n") <= count:
            start = max(after, start - _BLOCK)
            file.seek(start)
            tail = file.read(end - start)
    return tail.decode(errors="replace").splitlines()[-count:]


def follow(path: Path) -> Iterator[str]:
    """Return the lines written from this call on, for ever; a file that was rotated away is opened anew."""
    file = path.open("rb")
    file.seek(0, os.SEEK_END)
    return _lines(path, file)


def _lines(path: Path, file: BinaryIO) -> Iterator[str]:
    rest = b""
    try:
        while True:
            replaced = _was_replaced(path, file)  # asked first: what was written until then is read
            *lines, rest = (rest + file.read()).split(b"\n")
            yield from (line.decode(errors="replace") for line in lines)
            if lines:
                continue
            if replaced:
                file.close()
                file = path.open("rb")
            else:
                time.sleep(_LOOK_AGAIN_S)
    finally:
        file.close()


def _was_replaced(path: Path, file: BinaryIO) -> bool:
    try:
        return path.stat().st_ino != os.fstat(file.fileno()).st_ino
    except FileNotFoundError:
        return False
