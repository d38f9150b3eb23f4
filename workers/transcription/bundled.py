"""Be the tokenizer of a Whisper whose folder has none: the ids are the same in all of them."""

import gzip
from collections.abc import Sequence
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

_FOLDER = Path(__file__).parent / "vocabulary"
_ENGLISH_ONLY = 51864
"""Size of the vocabulary of a model that knows no other language."""
_MULTILINGUAL_GAP = 1
"""The multilingual ranks end with one that no text has."""
_TASKS = (
    "<|translate|>", "<|transcribe|>", "<|startoflm|>", "<|startofprev|>", "<|nospeech|>", "<|notimestamps|>",
)  # fmt: skip
_TIMESTAMPS = 1501
_END = "<|endoftext|>"


class BundledTokenizer:
    """Answer what the library asks a tokenizer of the transformers library."""

    def __init__(self, words: Tokenizer) -> None:
        self._words = words
        self._vocabulary: dict[str, int] = words.get_vocab()
        """Kept: the library asks for all of it several times a recording, and making it takes long."""
        self.unk_token_id = -1
        self.eos_token_id = self.unk_token_id = self.convert_tokens_to_ids(_END)

    def encode(self, text: str, *, add_special_tokens: bool = False) -> list[int]:
        """Return the text's token ids."""
        ids: list[int] = self._words.encode(text, add_special_tokens=add_special_tokens).ids
        return ids

    def decode(self, ids: Sequence[int], *, skip_special_tokens: bool = False) -> str:
        """Return the text of token ids."""
        text: str = self._words.decode(list(ids), skip_special_tokens=skip_special_tokens)
        return text

    def convert_tokens_to_ids(self, token: str) -> int:
        """Return a token's id, the one of the end where there is no such token."""
        found: int | None = self._words.token_to_id(token)
        return self.unk_token_id if found is None else found

    def get_vocab(self) -> dict[str, int]:
        """Return all tokens with their ids."""
        return self._vocabulary


def build(vocab_size: int, languages: Sequence[str]) -> Tokenizer:
    """Return the tokenizer of a model with that many tokens; `languages` are all codes, in the order of their ids."""
    english = vocab_size <= _ENGLISH_ONLY
    name = "gpt2" if english else "multilingual"
    merges = _merges(name)
    vocabulary = {letter: number for number, letter in enumerate(_letters())}
    for first, second in merges:
        vocabulary[first + second] = len(vocabulary)
    if not english:
        vocabulary[""] = len(vocabulary) + _MULTILINGUAL_GAP - 1
    words = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    words.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    words.decoder = decoders.ByteLevel()
    spoken = languages[: _spoken(vocab_size, len(vocabulary))]
    marks = [_END, "<|startoftranscript|>", *(f"<|{code}|>" for code in spoken), *_TASKS]
    words.add_special_tokens([AddedToken(mark, special=True, normalized=False) for mark in marks])
    times = [f"<|{number * 0.02:.2f}|>" for number in range(_TIMESTAMPS)]
    words.add_tokens([AddedToken(time, special=False, normalized=False) for time in times])
    return words


def _spoken(vocab_size: int, plain: int) -> int:
    """Count the languages: what is left of the vocabulary beside text, marks and timestamps."""
    return vocab_size - plain - 2 - len(_TASKS) - _TIMESTAMPS


def _merges(name: str) -> list[tuple[str, str]]:
    text = gzip.decompress((_FOLDER / f"{name}.txt.gz").read_bytes()).decode()
    pairs = (line.partition(" ") for line in text.splitlines())
    return [(first, second) for first, _, second in pairs]


def _letters() -> list[str]:
    """Return the letters that stand for the 256 bytes, in the order of their ids."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = 256 - len(plain)
    return [*map(chr, plain), *(chr(256 + number) for number in range(rest))]
