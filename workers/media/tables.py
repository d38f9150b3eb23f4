"""Count what the tables of an MP4 claim to describe: for a number of a few bytes, a decoder takes gigabytes."""

from collections.abc import Iterator

MOST_SAMPLES = 1 << 20
"""More than ten minutes of compressed pictures and sound are made of."""
_FRAGMENT = b"trun"
_COUNTS = {b"stsz": 12, b"stz2": 12, _FRAGMENT: 8}
"""Tables, and where their number of samples stands."""
_OF_SOUND = {b"soun", b"url ", b"alis", b"mdir"}
"""What a track of sound says of what it holds, where it lies and how it is tagged."""
Span = tuple[int, int]
_PACKED = b"cmov"
_HEAD, _LONG_HEAD = 8, 16


def too_long(content: bytes, most: int = MOST_SAMPLES) -> bool:
    """Tell whether an MP4's tables claim more samples than is sound, or are packed so that it cannot be told."""
    claimed = 0
    plain = [track for track in _tracks(content) if _is_plain_sound(content, track)]
    for start, stop in _outside_media(content):
        if content.find(_PACKED, start, stop) >= 0:
            return True
        for name, offset in _COUNTS.items():
            for at in _found(content, name, (start, stop)):
                if name != _FRAGMENT and any(first <= at < end for first, end in plain):
                    continue
                claimed += int.from_bytes(content[at + offset : at + offset + 4], "big")
    return claimed > most


def _is_plain_sound(content: bytes, track: Span) -> bool:
    """Tell whether a track is sound that was not compressed: of that a decoder keeps the chunks, not the samples.

    So FFmpeg does (mov_build_index) for sound with one pace for all samples, which is 1.
    """
    kinds = {content[at + 12 : at + 16] for at in _found(content, b"hdlr", track)}
    paces = [content[at + 8 : at + 20] for at in _found(content, b"stts", track)]
    return (
        b"soun" in kinds
        and kinds <= _OF_SOUND
        and all(pace[:4] == pace[8:] == b"\0\0\0\1" for pace in paces)
    )


def _tracks(content: bytes) -> Iterator[Span]:
    for name, (start, stop) in _boxes(content, (0, len(content))):
        if name == b"moov":
            yield from (track for kind, track in _boxes(content, (start, stop)) if kind == b"trak")


def _outside_media(content: bytes) -> Iterator[Span]:
    """Yield what is not pictures and sound themselves, in which any bytes may stand."""
    at = 0
    for name, (start, stop) in _boxes(content, (0, len(content))):
        if name == b"mdat":
            yield at, start
            at = stop
    yield at, len(content)


def _boxes(content: bytes, span: Span) -> Iterator[tuple[bytes, Span]]:
    """Yield the boxes of a span by what follows their heads, up to one of which nobody can tell how it is read."""
    at, end = span
    while at + _HEAD <= end:
        size, head = int.from_bytes(content[at : at + 4], "big"), _HEAD
        if size == 1:
            size, head = int.from_bytes(content[at + 8 : at + 16], "big"), _LONG_HEAD
        stop = end if size == 0 else at + size
        if size and size < head or stop > end:
            return
        yield content[at + 4 : at + 8], (at + head, stop)
        at = stop


def _found(content: bytes, name: bytes, span: Span) -> Iterator[int]:
    at = content.find(name, *span)
    while at >= 0:
        yield at
        at = content.find(name, at + 1, span[1])
