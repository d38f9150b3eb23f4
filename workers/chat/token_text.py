"""Give the bytes of single tokens, which the text of a whole answer cannot: a character may span several."""

from typing import Any

from mlxd.workers.engine.detokenize import pieces_of


class TokenText:
    """Look up the bytes of one tokenizer's tokens."""

    def __init__(self, tokenizer: Any) -> None:
        self._decode = tokenizer.decode
        self._pieces = pieces_of(tokenizer)

    def bytes_of(self, token: int) -> bytes:
        """Return what the token adds to a text."""
        if self._pieces is not None and token < len(self._pieces):
            return self._pieces.bytes_of(token)
        text: str = self._decode([token])
        return text.encode()
