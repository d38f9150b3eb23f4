"""Tell by its beginning that a text is too long, so that refusing it costs no more than reading one that fits.

A text is counted in pieces, which are forgotten at once. A cut may part what would have been fewer tokens, so that much
is taken off every piece: what is left is at most what the whole text has, and no text that fits is ever turned away.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from mlxd.protocol.errors import InvalidRequest

PIECE = 65536
"""Characters that are counted at once; what tokens need while they are made is then some ten megabytes."""
SHORT = 4
"""Characters for each token of the window that are never worth counting first."""
SPARSE = 512
"""Characters for each token of the window that no text needs which says anything; tokenizers may drop the rest."""
LEAST = 2**20
"""Characters that any text may have, however few tokens they are."""
_PARTED = 128
"""More tokens than a cut can make: WordPiece reads up to a hundred letters of a word it gives up on as a whole."""
_LOOK_BACK = 1024
"""Characters in which a cut looks for the end of a word."""


@dataclass(frozen=True, slots=True)
class Beginning:
    """Hold the beginning of a text that is longer than a window."""

    text: str
    """Has more tokens than the window, as far as the end of the window and beyond those of the whole text."""
    tokens: int
    """The whole text has at least so many, and they are more than the window holds."""


def beginning(text: str, window: int, count: Callable[[str], int], field: str) -> Beginning | None:
    """Return the beginning of a text that cannot fit, None where the whole may; `count` adds no special tokens.

    Raises InvalidRequest for a text of so many characters and so few tokens that reading it all would only be dear.
    """
    if len(text) <= max(PIECE, SHORT * window):
        return None
    most = max(LEAST, SPARSE * window)
    start = tokens = 0
    while start < len(text):
        end = _cut(text, start)
        tokens += max(count(text[start:end]) - _PARTED, 0)
        if tokens > window:
            return Beginning(text[:end], tokens)
        if end >= most and end < len(text):
            message = f"{field}: expected at most {most} characters, got {len(text)}"
            raise InvalidRequest(message, field=field)
        start = end
    return None


def batches(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    """Yield texts in their order, about as many at once as make a few pieces; nobody waits long behind them then."""
    start = size = 0
    for place, text in enumerate(texts):
        size += len(text)
        if size >= SHORT * PIECE:
            yield texts[start : place + 1]
            start, size = place + 1, 0
    if start < len(texts):
        yield texts[start:]


def _cut(text: str, start: int) -> int:
    """Return where a piece ends: before the blank in front of a word, where there is one."""
    end = start + PIECE
    if end >= len(text):
        return len(text)
    blank = text.rfind(" ", end - _LOOK_BACK, end)
    return blank if blank > 0 and not text[blank - 1].isspace() else end


def encode(core: Any, text: str, *, special: bool) -> Any:
    """Return what a Rust tokenizer makes of a text, without the places it stands at where that can be had."""
    fast = getattr(core, "encode_batch_fast", None)
    if fast is None:
        return core.encode(text, add_special_tokens=special)
    return fast([text], add_special_tokens=special)[0]
