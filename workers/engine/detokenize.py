"""Turn tokens into text as they come, without ever breaking a character."""

import codecs
import copy
import json
from collections.abc import Callable
from functools import cache
from typing import Any, Protocol
from weakref import WeakKeyDictionary

_SPACE = "▁"


class Pieces:
    """Know the bytes of every token of one tokenizer; never changes, so all requests share it."""

    def __init__(self, texts: list[str | None], *, byte_level: bool, strip: bool) -> None:
        self._texts = texts
        self._byte_level = byte_level
        self._bytes: list[bytes | None] = [None] * len(texts)
        self.strip = strip
        """Whether decoding drops one space at the head."""

    def __len__(self) -> int:
        return len(self._texts)

    def bytes_of(self, token: int) -> bytes:
        """Return what the token adds to a text; nothing for an id the tokenizer does not know."""
        if token >= len(self._texts):
            return b""
        known = self._bytes[token]
        if known is None:
            text = self._texts[token] or ""
            known = _byte_level(text) if self._byte_level else _sentence_piece(text)
            self._bytes[token] = known
        return known


def _byte_level(text: str) -> bytes:
    table = _byte_table()
    try:
        return bytes([table[char] for char in text])
    except KeyError:  # an added token, written as it is
        return text.encode()


def _sentence_piece(text: str) -> bytes:
    if len(text) == 6 and text.startswith("<0x") and text.endswith(">"):
        try:
            return bytes([int(text[3:5], 16)])
        except ValueError:
            pass
    return text.replace(_SPACE, " ").encode()


@cache
def _byte_table() -> dict[str, int]:
    """Return the characters by which byte-level tokenizers write bytes (GPT-2's table)."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {
        chr(256 + i): byte for i, byte in enumerate(others)
    }


class _Stream(Protocol):
    def add(self, token: int) -> str: ...

    def finish(self) -> str: ...


class _Bytes:
    """Join the tokens' bytes and decode them as they become whole characters: O(1) per token."""

    def __init__(self, pieces: Pieces) -> None:
        self._pieces = pieces
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._strip = pieces.strip

    def add(self, token: int) -> str:
        return self._head(self._decoder.decode(self._pieces.bytes_of(token)))

    def finish(self) -> str:
        return self._head(self._decoder.decode(b"", final=True))

    def _head(self, text: str) -> str:
        if self._strip and text:
            self._strip = False
            return text.removeprefix(" ")
        return text


class Window:
    """Decode the last few tokens again with each one, for tokenizers whose pieces are not plain bytes."""

    LONGEST = 12
    """Tokens after which a broken character is no longer an unfinished one, and nothing no longer a beginning."""

    def __init__(self, decode: Callable[[list[int]], str]) -> None:
        self._decode = decode
        self._tokens: list[int] = []
        self._read = 0
        """How many of the tokens are text already; they stay because the next ones may depend on them."""

    def add(self, token: int) -> str:
        """Return the text this token settles."""
        self._tokens.append(token)
        known, text = self._texts()
        waited = len(self._tokens) - self._read > self.LONGEST
        whole = not text.endswith("\N{REPLACEMENT CHARACTER}")
        if not waited and (len(text) <= len(known) or not whole):
            return ""
        self._tokens = self._tokens[self._read :]
        self._read = len(self._tokens)
        return text[len(known) :]

    def finish(self) -> str:
        """Return what is still held."""
        known, text = self._texts()
        self._read = len(self._tokens)
        return text[len(known) :]

    def _texts(self) -> tuple[str, str]:
        return self._decode(self._tokens[: self._read]), self._decode(self._tokens)


class Detokenizer:
    """Turn one answer's tokens into text; the parts joined are what decoding all of them at once gives."""

    def __init__(self, tokenizer: Any) -> None:
        self._stream = _streams(tokenizer)()

    def add(self, token: int) -> str:
        """Return the text this token settles; an unfinished character is held back."""
        return self._stream.add(token)

    def finish(self) -> str:
        """Return what is still held, now that nothing follows."""
        return self._stream.finish()


_known: WeakKeyDictionary[Any, Callable[[], _Stream]] = WeakKeyDictionary()
_tables: WeakKeyDictionary[Any, Pieces | None] = WeakKeyDictionary()


def prepare(tokenizer: Any) -> None:
    """Make the tables of a tokenizer ahead of its first request; they take a moment for a large vocabulary."""
    _streams(tokenizer)


def _streams(tokenizer: Any) -> Callable[[], _Stream]:
    """Return what makes the stream of one answer."""
    make = _known.get(tokenizer)
    if make is None:
        make = _known[tokenizer] = _choose(tokenizer)
    return make


def _choose(tokenizer: Any) -> Callable[[], _Stream]:
    pieces = pieces_of(tokenizer)
    if pieces is not None:
        return lambda: _Bytes(pieces)
    inner = getattr(tokenizer, "_tokenizer", tokenizer)
    private = copy.deepcopy(
        inner
    )  # threads that encode borrow the original and forbid any other use meanwhile
    return lambda: Window(
        lambda tokens: private.decode(
            tokens, skip_special_tokens=False, clean_up_tokenization_spaces=False
        )
    )


def pieces_of(tokenizer: Any) -> Pieces | None:
    """Return the bytes of all tokens, None where tokens are more than bytes in a row."""
    if tokenizer not in _tables:
        inner = getattr(tokenizer, "_tokenizer", tokenizer)
        backend: Any = getattr(inner, "backend_tokenizer", None)
        own_decode = type(inner).decode.__module__.startswith("transformers.tokenization_utils")
        usable = backend is not None and own_decode and backend.decoder is not None
        decoder = json.loads(backend.decoder.__getstate__()) if usable else {"type": None}
        _tables[tokenizer] = _pieces(backend, decoder)
    return _tables[tokenizer]


def _pieces(backend: Any, decoder: dict[str, Any]) -> Pieces | None:
    """Return the table of a tokenizer whose tokens are bytes, None for any other kind."""
    steps = decoder.get("decoders", [decoder])
    kinds = [step["type"] for step in steps]
    byte_level = kinds == ["ByteLevel"]
    strip = kinds == ["Replace", "ByteFallback", "Fuse", "Strip"]
    if not byte_level and not strip and kinds != ["Replace", "ByteFallback", "Fuse"]:
        return None
    if not byte_level and (steps[0]["pattern"], steps[0]["content"]) != ({"String": _SPACE}, " "):
        return None
    if strip and (steps[3]["content"], steps[3]["start"], steps[3]["stop"]) != (" ", 1, 0):
        return None
    vocabulary: dict[str, int] = backend.get_vocab(with_added_tokens=True)
    texts: list[str | None] = [None] * (max(vocabulary.values(), default=-1) + 1)
    for text, token in vocabulary.items():
        texts[token] = text
    return Pieces(texts, byte_level=byte_level, strip=strip)
