"""Tokenize texts and pairs of texts; nothing is cut off here but on request."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from mlxd.protocol.errors import ContextLengthExceeded, InvalidRequest, ModelLoadFailed
from mlxd.workers import long_text
from mlxd.workers.embedding.rows import Row
from mlxd.workers.long_text import Beginning


class Words:
    """Own a tokenizer; its calls are safe from several threads, since nothing in it changes any more."""

    def __init__(self, tokenizer: Any, limit: int, *, pad_id: int, lower: bool = False) -> None:
        tokenizer.no_truncation()  # some files carry a length of their own, shorter than the model's
        tokenizer.no_padding()
        self._tokenizer = tokenizer
        self._innocent = innocent(tokenizer)
        self._lower = lower
        self.limit = limit
        self.pad_id = pad_id
        self.size: int = tokenizer.get_vocab_size(with_added_tokens=True)
        self._before, self._after = self._frame()

    def _frame(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Return the special tokens before and after a text."""
        framed = self._tokenizer.encode("a", add_special_tokens=True)
        inside = [n for n, special in enumerate(framed.special_tokens_mask) if not special]
        first, last = (inside[0], inside[-1]) if inside else (len(framed.ids), len(framed.ids))
        return tuple(framed.ids[:first]), tuple(framed.ids[last + 1 :])

    def row(self, text: str, *, field: str, truncate: bool) -> Row:
        """Return a text's tokens; raises InvalidRequest or ContextLengthExceeded naming the field."""
        clean = self._clean(text, field)
        if (begun := self.beginning(clean, field)) is not None:
            if not truncate:
                raise ContextLengthExceeded(begun.tokens, self.limit, field, at_least=True)
            clean = begun.text
        found = long_text.encode(self._tokenizer, clean, special=True)
        return self._fitting(Row(tuple(found.ids)), field=field, truncate=truncate)

    def beginning(self, text: str, field: str, *, special: bool = True) -> Beginning | None:
        """Return the beginning of a text that is too long by far, None for any other."""
        core = self._tokenizer if special else self._innocent
        return long_text.beginning(
            text, self.limit, lambda piece: len(long_text.encode(core, piece, special=False)), field
        )

    def row_of_ids(self, ids: Sequence[int], *, field: str, truncate: bool) -> Row:
        """Return tokens that the caller made, with the special ones around them where they are missing."""
        wrong = next((n for n, token in enumerate(ids) if not 0 <= token < self.size), None)
        if wrong is not None:
            name = f"{field}[{wrong}]"
            message = f"{name}: {ids[wrong]} is no token of this model, which has {self.size}"
            raise InvalidRequest(message, field=name)
        given = tuple(ids)
        begun = given[: len(self._before)] == self._before
        ended = given[len(given) - len(self._after) :] == self._after
        whole = given if begun and ended else (*self._before, *given, *self._after)
        return self._fitting(Row(whole), field=field, truncate=truncate)

    def pair(self, first: str, second: str, *, field: str) -> Row:
        """Return the tokens of two texts, the second cut off where both are too long."""
        query, text = self._clean(first, "query"), self._clean(second, field)
        if (begun := self.beginning(query, "query")) is not None:
            raise ContextLengthExceeded(begun.tokens, self.limit, "query", at_least=True)
        begun = self.beginning(text, field)
        text = text if begun is None else begun.text
        one = self._tokenizer.encode(query, text, add_special_tokens=True)
        excess = len(one.ids) - self.limit
        if excess <= 0:
            return Row(tuple(one.ids), tuple(one.type_ids))
        return self._shortened(one, excess, field)

    def _shortened(self, pair: Any, excess: int, field: str) -> Row:
        """Return a pair without the last tokens of its second text."""
        second = [n for n, sequence in enumerate(pair.sequence_ids) if sequence == 1]
        if excess >= len(second):
            raise ContextLengthExceeded(len(pair.ids), self.limit, "query")
        left_out = set(second[-excess:])
        kept = [n for n in range(len(pair.ids)) if n not in left_out]
        ids, types = pair.ids, pair.type_ids
        return Row(tuple(ids[n] for n in kept), tuple(types[n] for n in kept))

    def plain(self, text: str, *, special: bool = True, field: str = "query") -> tuple[int, ...]:
        """Return a text's tokens with nothing added; of one that is too long by far those of its beginning.

        Without `special` a text that spells a special token gets ordinary ones: nobody's text ends his own turn.
        """
        begun = self.beginning(text, field, special=special)
        text = text if begun is None else begun.text
        core = self._tokenizer if special else self._innocent
        return tuple(long_text.encode(core, text, special=False).ids)

    def _clean(self, text: str, field: str) -> str:
        if not text:
            raise InvalidRequest(f"{field}: expected a text, got an empty one", field=field)
        return text.lower() if self._lower else text

    def _fitting(self, row: Row, *, field: str, truncate: bool) -> Row:
        if len(row) <= self.limit:
            return row
        if not truncate:
            raise ContextLengthExceeded(len(row), self.limit, field)
        end = len(self._after)
        kept = self.limit - end
        return Row((*row.ids[:kept], *row.ids[len(row) - end :]))


def innocent(tokenizer: Any) -> Any:
    """Return a copy that reads special tokens in a text as the letters they are."""
    copy = Tokenizer.from_str(tokenizer.to_str())
    copy.encode_special_tokens = True
    return copy


def load(folder: Path, limit: int, *, pad_id: int, lower: bool = False) -> Words:
    """Read a folder's tokenizer.json, or what transformers makes of the files of an older kind."""
    try:
        return Words(_tokenizer(folder), limit, pad_id=pad_id, lower=lower)
    except Exception as error:
        raise ModelLoadFailed(f"{folder}: the tokenizer: {error}") from error


def _tokenizer(folder: Path) -> Any:
    file = folder / "tokenizer.json"
    if file.exists():
        return Tokenizer.from_file(str(file))
    from transformers import AutoTokenizer

    found = AutoTokenizer.from_pretrained(str(folder), trust_remote_code=False)
    return found.backend_tokenizer
