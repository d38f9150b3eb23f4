"""Answers in channels come apart the same way however they are cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.splits import cut, places

from mlxd.workers.chat.harmony import HarmonySplitter
from mlxd.workers.chat.markup import Kind, Piece

THINK = "<|channel|>analysis<|message|>Let me see.<|end|>"
SAY = "<|channel|>final<|message|>Hello <b>!"
CALL = '<|channel|>commentary to=functions.f <|constrain|>json<|message|>{"x": 1}<|call|>'
CALL_OLD = ' to=functions.f<|channel|>commentary json<|message|>{"x": 1}<|call|>'
NEXT = "<|start|>assistant"
WORDS = st.sampled_from(
    [THINK, SAY, CALL, CALL_OLD, NEXT, "<|end|>", "<|", "<|message|>", "<|channel|>", "plain", " "]
    + ["<|channel|>commentary<|message|>Preamble.<|end|>", " to=functions.g<|message|>{}", "é🙂"]
)


def split(chunks: list[str], *, complete: bool = True) -> list[tuple[Kind, str]]:
    splitter = HarmonySplitter({"f"})
    pieces: list[Piece] = [piece for chunk in chunks for piece in splitter.feed(chunk)]
    runs: list[tuple[Kind, str]] = []
    for piece in pieces + splitter.finish(complete=complete):
        if runs and runs[-1][0] is piece.kind and piece.kind is not Kind.CALLS:
            runs[-1] = (piece.kind, runs[-1][1] + piece.text)
        else:
            runs.append((piece.kind, piece.text))
    return runs


@given(words=st.lists(WORDS, max_size=10), at=places(), complete=st.booleans())
def test_every_split_gives_the_same_pieces(words: list[str], at: list[int], complete: bool) -> None:
    text = "".join(words)
    whole = split([text], complete=complete)
    assert split(cut(text, at), complete=complete) == whole
    assert split(list(text), complete=complete) == whole


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (SAY, [(Kind.TEXT, "Hello <b>!")]),
        (THINK + NEXT + SAY, [(Kind.REASONING, "Let me see."), (Kind.TEXT, "Hello <b>!")]),
        (THINK + NEXT + CALL, [(Kind.REASONING, "Let me see."), (Kind.CALLS, '{"x": 1}')]),
        (CALL_OLD, [(Kind.CALLS, '{"x": 1}')]),
        (CALL.replace("}", ""), [(Kind.TEXT, '{"x": 1')]),
        (CALL.replace("functions.f", "functions.g"), [(Kind.TEXT, '{"x": 1}')]),
        ("no header at all", [(Kind.TEXT, "no header at all")]),
    ],
)
def test_channels_are_told_apart(text: str, expected: list[tuple[Kind, str]]) -> None:
    assert split([text]) == expected


def test_text_of_a_channel_leaves_at_once() -> None:
    splitter = HarmonySplitter(set())
    assert splitter.feed("<|channel|>final<|message|>") == []
    assert [piece.text for piece in splitter.feed("Hello")] == ["Hello"]
    assert [piece.text for piece in splitter.feed(" <|e")] == [" "]
    assert [piece.text for piece in splitter.feed("lse")] == ["<|else"]
