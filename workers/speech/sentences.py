"""Cut a text into stretches read one by one, so that a model that makes all sound at once can be interrupted."""

import re
from collections.abc import Iterator
from itertools import pairwise

LONGEST = 300
SHORTEST = 20
"""Characters; a stretch that is shorter is read with the one before, or it would be a breath of its own."""
_ENDS = re.compile(r"[.!?…]+[\"'”’)\]]*(?=\s)|[。！？]+|\n+")
_BREAKS = re.compile(r"(?<=[,;:，；：、])\s*|\s+")


def split(text: str) -> list[str]:
    """Return the stretches; together they have every word of the text, in order."""
    found: list[str] = []
    for sentence in filter(None, map(str.strip, _sentences(text))):
        for piece in _within(sentence):
            if found and min(len(found[-1]), len(piece)) < SHORTEST:
                if len(found[-1]) + len(piece) < LONGEST:
                    found[-1] += " " + piece
                    continue
            found.append(piece)
    return found


def _sentences(text: str) -> Iterator[str]:
    ends = [found.end() for found in _ENDS.finditer(text)]
    for begin, end in pairwise([0, *ends, len(text)]):
        yield text[begin:end]


def _within(sentence: str) -> list[str]:
    """Cut a long sentence at commas or spaces; one without any is cut anywhere."""
    pieces: list[str] = []
    rest = sentence
    while len(rest) > LONGEST:
        breaks = [found.end() for found in _BREAKS.finditer(rest, 0, LONGEST) if found.end()]
        at = breaks[-1] if breaks else LONGEST
        pieces.append(rest[:at].strip())
        rest = rest[at:].strip()
    return [*pieces, rest]
