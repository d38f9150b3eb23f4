"""Text comes token by token, never breaks a character, and is in the end what decoding at once gives (promise E14)."""

import functools
import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import tiny_models
from support.tokenizers import byte_tokenizer, sentence_piece, word_piece

from mlxd.workers.engine import detokenize
from mlxd.workers.engine.detokenize import Detokenizer

BROKEN = "\N{REPLACEMENT CHARACTER}"
TEXTS = [
    "Grüße, 世界! 🙂🚀",
    " leading and  double  spaces",
    "naïve café\n\n\tmixed",
    "👩\u200d👩\u200d👧 Привет",
]


def real(kind: str) -> Any:
    """Return the tokenizer of a tiny model."""
    utils = importlib.import_module("mlx_lm.utils")
    return utils.load_tokenizer(Path(tiny_models.folder(kind)))


KINDS: dict[str, Callable[[], Any]] = {
    "bytes": byte_tokenizer,
    "byte-level": lambda: real("qwen3"),
    "sentence-piece": lambda: sentence_piece(strip=False),
    "sentence-piece-strip": lambda: sentence_piece(strip=True),
    "word-piece": word_piece,
}


@functools.cache
def tokenizer(kind: str) -> Any:
    return KINDS[kind]()


def whole(words: Any, tokens: list[int]) -> str:
    """Return what decoding all tokens at once gives."""
    text: str = words.decode(tokens, skip_special_tokens=False, clean_up_tokenization_spaces=False)
    return text


def parts(words: Any, tokens: list[int]) -> list[str]:
    stream = Detokenizer(words)
    return [*(stream.add(token) for token in tokens), stream.finish()]


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=150)
@given(data=st.data())
def test_any_tokens_give_in_parts_what_they_give_at_once(kind: str, data: st.DataObject) -> None:
    words = tokenizer(kind)
    tokens = data.draw(st.lists(st.integers(0, len(words) - 1), max_size=30))
    text, pieces = whole(words, tokens), parts(words, tokens)
    if BROKEN not in text:
        assert "".join(pieces) == text
    assert "".join(pieces).count(BROKEN) <= text.count(BROKEN)


@pytest.mark.parametrize("kind", ["bytes", "byte-level", "sentence-piece", "sentence-piece-strip"])
@pytest.mark.parametrize("text", TEXTS)
def test_a_real_text_never_shows_a_broken_character_on_the_way(kind: str, text: str) -> None:
    words = tokenizer(kind)
    tokens = words.encode(text, add_special_tokens=False)
    pieces = parts(words, tokens)
    assert all(BROKEN not in piece for piece in pieces)
    assert "".join(pieces) == whole(words, tokens)


@pytest.mark.parametrize("kind", ["bytes", "byte-level", "sentence-piece"])
def test_every_character_comes_with_its_last_token(kind: str) -> None:
    words = tokenizer(kind)
    tokens = words.encode("a🙂b世c", add_special_tokens=False)
    stream, shown = Detokenizer(words), ""
    for at, token in enumerate(tokens):
        shown += stream.add(token)
        assert shown == whole(words, tokens[: at + 1]).rstrip(BROKEN)


@pytest.mark.parametrize("kind", ["byte-level", "sentence-piece"])
@given(data=st.data())
def test_bytes_that_are_no_text_are_replaced_and_lose_nothing_else(
    kind: str, data: st.DataObject
) -> None:
    words = tokenizer(kind)
    whole_bad = words.encode("🦄", add_special_tokens=False)
    bad = whole_bad[: data.draw(st.integers(1, len(whole_bad) - 1))]
    good = words.encode("the end", add_special_tokens=False)
    text = "".join(parts(words, [*good, *bad, *good]))
    assert text.startswith("the end") and text.endswith("the end") and BROKEN in text


def test_tokens_the_tokenizer_does_not_know_add_nothing() -> None:
    words = tokenizer("byte-level")
    known = words.encode("hello", add_special_tokens=False)
    assert "".join(parts(words, [*known, 10**6, *known])) == "hellohello"


def test_added_and_special_tokens_stay_visible_for_those_who_look_for_them() -> None:
    words = tokenizer("byte-level")
    tokens = words.encode("<think>x</think><|im_end|>", add_special_tokens=False)
    assert "".join(parts(words, tokens)) == "<think>x</think><|im_end|>"


def test_requests_do_not_share_state_and_the_table_is_made_once() -> None:
    words = tokenizer("byte-level")
    detokenize.prepare(words)
    a, b = Detokenizer(words), Detokenizer(words)
    first, *rest = words.encode("🙂", add_special_tokens=False)
    a.add(first)
    assert b.add(words.encode("x", add_special_tokens=False)[0]) == "x"
    assert "".join(a.add(token) for token in rest) == "🙂"


def test_a_long_answer_of_unusual_pieces_is_decoded_a_few_tokens_at_a_time() -> None:
    seen: list[int] = []

    def decode(tokens: list[int]) -> str:
        seen.append(len(tokens))
        return whole(tokenizer("word-piece"), tokens)

    stream = detokenize.Window(decode)
    for token in [1, 2, 3, 4] * 500:
        stream.add(token)
    assert max(seen) < 10
