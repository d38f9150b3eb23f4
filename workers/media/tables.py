"""Count what the tables of an MP4 claim to describe: for a number of a few bytes, a decoder takes gigabytes."""

from collections.abc import Iterator

MOST_SAMPLES = 1 << 20
"""More than ten minutes of compressed pictures and sound are made of."""
_COUNTS = {b"stsz": 12, b"stz2": 12, b"trun": 8}
"""Tables, and where their number of samples stands."""
_PACKED = b"cmov"
_HEAD, _LONG_HEAD = 8, 16


def too_long(content: bytes) -> bool:
    """Tell whether an MP4's tables claim more samples than is sound, or are packed so that it cannot be told."""
    claimed = 0
    for start, stop in _outside_media(content):
        if content.find(_PACKED, start, stop) >= 0:
            return True
        for name, offset in _COUNTS.items():
            at = content.find(name, start, stop)
            while at >= 0:
                claimed += int.from_bytes(content[at + offset : at + offset + 4], "big")
                at = content.find(name, at + 1, stop)
    return claimed > MOST_SAMPLES


def _outside_media(content: bytes) -> Iterator[tuple[int, int]]:
    """Yield what is not pictures and sound themselves, in which any bytes may stand."""
    at, end = 0, len(content)
    while at + _HEAD <= end:
        size, head = int.from_bytes(content[at : at + 4], "big"), _HEAD
        if size == 1:
            size, head = int.from_bytes(content[at + 8 : at + 16], "big"), _LONG_HEAD
        stop = end if size == 0 else at + size
        if size and size < head or stop > end:
            break  # nobody can tell how this is read: all that is left counts
        if content[at + 4 : at + 8] != b"mdat":
            yield at, stop
        at = stop
    if at < end:
        yield at, end
