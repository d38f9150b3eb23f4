"""Give the bytes of single tokens, which the text of a whole answer cannot: a character may span several."""

from functools import cache
from typing import Any

_SPACE = "▁".encode()


class TokenText:
    """Look up the bytes of one tokenizer's tokens."""

    def __init__(self, tokenizer: Any) -> None:
        self._decode = tokenizer.decode
        # mlx-lm's streaming detokenizers keep a table of all tokens: byte-level strings, or bytes of sentence pieces.
        self._table: list[str | bytes] | None = getattr(tokenizer.detokenizer, "tokenmap", None)

    def bytes_of(self, token: int) -> bytes:
        """Return what the token adds to a text."""
        if self._table is None or token >= len(self._table):
            text: str = self._decode([token])
            return text.encode()
        entry = self._table[token]
        if isinstance(entry, bytes):
            return entry.replace(_SPACE, b" ")
        table = _byte_level()
        return b"".join(
            bytes([table[char]]) if char in table else char.encode() for char in entry or ""
        )


@cache
def _byte_level() -> dict[str, int]:
    """Return the characters by which byte-level tokenizers write bytes (GPT-2's table)."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    table = {chr(byte): byte for byte in printable}
    return table | {chr(256 + index): byte for index, byte in enumerate(others)}
