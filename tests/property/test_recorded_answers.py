"""Answers in every format say the same however they are cut: at any byte, byte by byte, in random pieces."""

import functools
import json
import pkgutil
from dataclasses import dataclass
from typing import Any

import mlx_lm.tool_parsers
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.recorded_answers import RECORDINGS, ROME, SAME_AS, THOUGHT, WEATHER, Call, Recording

from mlxd.workers.chat.events import EndReason, Event, ReasoningDelta, TextDelta, ToolCallDelta
from mlxd.workers.chat.formats import format_of
from mlxd.workers.chat.reader import Reader
from mlxd.workers.chat.request import Tool
from mlxd.workers.engine.detokenize import Detokenizer
from mlxd.workers.engine.request import FinishReason, TokenOutput

PARAMETERS: dict[str, object] = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
    "required": ["city", "days"],
}
TOOLS = (Tool(name="get_weather", parameters=PARAMETERS), Tool(name="stop_it"))
BEFORE = "Well: a <tool is needed. é🙂\n"


@dataclass
class Told:
    """Hold what a client makes of an answer's events."""

    text: str = ""
    reasoning: str = ""
    calls: tuple[Call, ...] = ()
    end: EndReason | None = None


def told(events: list[Event]) -> Told:
    made = Told()
    for event in events:
        match event:
            case TextDelta():
                made.text += event.text
            case ReasoningDelta():
                made.reasoning += event.text
            case ToolCallDelta():
                made.calls += ((event.name, json.loads(event.arguments)),)
            case _:
                made.end = event.reason
    return made


@functools.cache
def tokenizer(recording: Recording, with_markers: bool) -> Any:
    return recording.tokenizer(with_markers=with_markers)


def read(recording: Recording, with_markers: bool, text: str, cuts: list[int] | None) -> Told:
    """Return what is read from a text whose tokens come by themselves, or in groups that end at the cuts."""
    known = tokenizer(recording, with_markers)
    reader = Reader(
        detokenizer=Detokenizer(known),
        prompt_tokens=1,
        splitter=format_of(known).splitter(TOOLS, reasoning=False),
    )
    tokens = known.encode(text, add_special_tokens=False)
    outputs = [TokenOutput(token) for token in tokens]
    outputs.append(TokenOutput(known.eos_token_id, FinishReason.STOP))
    edges = range(1, len(outputs)) if cuts is None else sorted({cut % len(outputs) for cut in cuts})
    events: list[Event] = []
    start = 0
    for edge in (*edges, len(outputs)):
        if edge > start:
            events += reader.read(outputs[start:edge])
            start = edge
    assert reader.done
    return told(events)


def answers(recording: Recording) -> dict[str, str]:
    """Return whole answers, the end of one, and some that are not what they seem."""
    opening, closing = recording.think
    thought = f"{opening}{THOUGHT}{closing}"
    say = "" if recording.parser else "<|channel|>final<|message|>"
    two = recording.two()
    return {
        "one": recording.one(),
        "two": two,
        "thought": thought + recording.one(),
        "said": (BEFORE if recording.parser else "") + two,
        "thought and said": f"{thought}{say}{BEFORE}",
        "broken": recording.broken,
        "cut": two[: len(two) * 2 // 3],
        "cut early": recording.one()[: len(recording.begin) + 3],
    }


EACH = pytest.mark.parametrize(
    "recording", RECORDINGS, ids=[f"{at}-{one.parser or 'harmony'}" for at, one in enumerate(RECORDINGS)]
)  # fmt: skip
BOTH = pytest.mark.parametrize("with_markers", [True, False], ids=["special", "spelled"])


@EACH
@BOTH
def test_what_was_recorded_is_read(recording: Recording, with_markers: bool) -> None:
    found = {
        name: read(recording, with_markers, text, []) for name, text in answers(recording).items()
    }
    assert found["one"] == Told(calls=(WEATHER,), end=EndReason.TOOL_CALLS)
    assert found["two"] == Told(calls=(WEATHER, ROME), end=EndReason.TOOL_CALLS)
    assert found["thought"].calls == (WEATHER,)
    assert found["thought"].reasoning == THOUGHT and found["thought"].text == ""
    assert found["said"].calls == (WEATHER, ROME)
    assert found["said"].text.strip() == (BEFORE.strip() if recording.parser else "")
    assert found["thought and said"].reasoning == THOUGHT
    assert found["thought and said"].text.strip() == BEFORE.strip()
    assert found["broken"].calls == ()


@EACH
@BOTH
def test_token_by_token_says_the_same(recording: Recording, with_markers: bool) -> None:
    for name, text in answers(recording).items():
        whole = read(recording, with_markers, text, [])
        assert read(recording, with_markers, text, None) == whole, name


@pytest.mark.slow
@EACH
def test_every_cut_says_the_same(recording: Recording) -> None:
    for name in ("one", "thought", "said", "broken"):
        text = answers(recording)[name]
        whole = read(recording, False, text, [])
        for cut in range(1, len(text.encode()) + 1):
            assert read(recording, False, text, [cut]) == whole, (name, cut)


@EACH
@settings(max_examples=12)
@given(
    name=st.sampled_from(["one", "two", "thought", "said", "broken", "cut"]),
    cuts=st.lists(st.integers(0, 1000), max_size=30),
    with_markers=st.booleans(),
)
def test_random_pieces_say_the_same(
    recording: Recording, name: str, cuts: list[int], with_markers: bool
) -> None:
    text = answers(recording)[name]
    whole = read(recording, with_markers, text, [])
    assert read(recording, with_markers, text, cuts) == whole


def test_every_parser_that_mlx_lm_has_is_recorded() -> None:
    known = {found.name for found in pkgutil.iter_modules(mlx_lm.tool_parsers.__path__)}
    assert known == {recording.parser for recording in RECORDINGS if recording.parser} | set(
        SAME_AS
    )
