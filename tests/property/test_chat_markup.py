"""However an answer is cut into chunks, its text, reasoning and calls are the same."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.markup_cases import BAD, GOOD, MARKUP, TEXTS, parse
from support.splits import cut, places

from mlxd.workers.chat.markup import Kind, Markup, Piece, Splitter


def split(chunks: list[str], *, tools: bool, reasoning: bool, complete: bool = True) -> list[Piece]:
    splitter = Splitter(MARKUP, parse=parse if tools else None, reasoning=reasoning)
    pieces = [piece for chunk in chunks for piece in splitter.feed(chunk)]
    return pieces + splitter.finish(complete=complete)


def joined(pieces: list[Piece]) -> list[tuple[Kind, str]]:
    """Join neighbours of one kind; calls stay apart."""
    runs: list[tuple[Kind, str]] = []
    for piece in pieces:
        if runs and runs[-1][0] is piece.kind and piece.kind is not Kind.CALLS:
            runs[-1] = (piece.kind, runs[-1][1] + piece.text)
        else:
            runs.append((piece.kind, piece.text))
    return runs


@given(text=TEXTS, at=places(), tools=st.booleans(), reasoning=st.booleans(), done=st.booleans())
def test_every_split_gives_the_same_pieces(
    text: str, at: list[int], tools: bool, reasoning: bool, done: bool
) -> None:
    whole = split([text], tools=tools, reasoning=reasoning, complete=done)
    for chunks in (cut(text, at), list(text)):
        parts = split(chunks, tools=tools, reasoning=reasoning, complete=done)
        assert joined(parts) == joined(whole)


@given(text=TEXTS, at=places(), tools=st.booleans(), reasoning=st.booleans())
def test_every_piece_is_the_text_at_its_place_and_pieces_never_overlap(
    text: str, at: list[int], tools: bool, reasoning: bool
) -> None:
    end = 0
    for piece in split(cut(text, at), tools=tools, reasoning=reasoning):
        assert piece.start >= end
        end = piece.start + len(piece.text)
        assert text[piece.start : end] == piece.text


@given(text=TEXTS, at=places())
def test_what_is_lost_is_only_markers_and_white_space(text: str, at: list[int]) -> None:
    kept = "".join(piece.text for piece in split(cut(text, at), tools=True, reasoning=False))
    lost = text
    for marker in ("<think>", "</think>"):
        lost, kept = lost.replace(marker, ""), kept.replace(marker, "")
    assert "".join(lost.split()) == "".join(kept.split())


@given(text=st.text(alphabet="ab<>/ \nthink", max_size=40).filter(lambda t: "<" not in t[-12:]))
def test_without_tools_text_that_cannot_be_a_marker_is_never_held(text: str) -> None:
    splitter = Splitter(Markup(), parse=None)
    assert "".join(piece.text for piece in splitter.feed(text)) == text


@pytest.mark.parametrize(
    ("text", "reasoning", "expected"),
    [
        ("plain", False, [(Kind.TEXT, "plain")]),
        ("r\n</think>\n\nt", True, [(Kind.REASONING, "r"), (Kind.TEXT, "t")]),
        ("<think>\nr\n</think>\n\nt", False, [(Kind.REASONING, "r"), (Kind.TEXT, "t")]),
        ("<think>\nr\n</think>\n\nt", True, [(Kind.REASONING, "r"), (Kind.TEXT, "t")]),
        (
            "r</think>t<think>r2</think>t2",
            True,
            [
                (Kind.REASONING, "r"),
                (Kind.TEXT, "t"),
                (Kind.REASONING, "r2"),
                (Kind.TEXT, "t2"),
            ],
        ),
        ("<think>\n\n</think>\n\nt", False, [(Kind.TEXT, "t")]),
        ("r never closed", True, [(Kind.REASONING, "r never closed")]),
        (f"t\n{GOOD}", False, [(Kind.TEXT, "t"), (Kind.CALLS, "\n" + GOOD)]),
        (f"{GOOD}\n{GOOD}\n", False, [(Kind.CALLS, GOOD), (Kind.CALLS, GOOD)]),
        (f"t\n{BAD}\nu", False, [(Kind.TEXT, f"t\n{BAD}\nu")]),
        (f"r {GOOD} r</think>t", True, [(Kind.REASONING, f"r {GOOD} r"), (Kind.TEXT, "t")]),
    ],
)
def test_blocks_are_told_apart(
    text: str, reasoning: bool, expected: list[tuple[Kind, str]]
) -> None:
    runs = joined(split([text], tools=True, reasoning=reasoning))
    assert [(kind, part.strip() if kind is Kind.CALLS else part) for kind, part in runs] == [
        (kind, part.strip() if kind is Kind.CALLS else part) for kind, part in expected
    ]


def test_a_call_cut_off_by_the_token_limit_is_text() -> None:
    cut_off = GOOD.removesuffix("</tool_call>")
    assert joined(split([cut_off], tools=True, reasoning=False, complete=False)) == [
        (Kind.TEXT, cut_off)
    ]
    ended = split([cut_off], tools=True, reasoning=False, complete=True)
    assert [piece.kind for piece in ended] == [Kind.CALLS]


def test_plain_text_and_reasoning_leave_at_once_while_tools_are_on() -> None:
    """G6: only bytes that may be a marker are held."""
    splitter = Splitter(MARKUP, parse=parse, reasoning=True)
    assert [piece.text for piece in splitter.feed("thinking")] == ["thinking"]
    assert [piece.text for piece in splitter.feed(" hard</thi")] == [" hard"]
    assert [piece.text for piece in splitter.feed("nk>Hello")] == ["Hello"]
    assert [piece.text for piece in splitter.feed(" <b>bold")] == [" <b>bold"]
    assert splitter.feed(" <tool") == []


def test_calls_that_end_with_the_answer_are_read_at_its_end() -> None:
    markup = Markup(tool_start="[TOOL_CALLS]")
    splitter = Splitter(markup, parse=parse)
    text = 'Sure.[TOOL_CALLS][{"name": "f", "arguments": {}}, {"name": "g", "arguments": {}}]'
    pieces = [piece for char in text for piece in splitter.feed(char)]
    pieces += splitter.finish(complete=False)
    assert "".join(piece.text for piece in pieces if piece.kind is Kind.TEXT) == "Sure."
    assert [call.name for call in pieces[-1].calls] == ["f", "g"]
