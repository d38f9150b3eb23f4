"""A call that is demanded comes out well formed, in every format and whatever the model would rather say."""

import functools
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from support.call_formats import FORMATS, CallFormat
from support.grammar_walk import Walker

from mlxd.workers.chat import demand
from mlxd.workers.chat.markup import Kind
from mlxd.workers.chat.output_format import JsonSchema
from mlxd.workers.chat.request import ChatRequest, Controls, MustCall, Role, Tool, Turn
from mlxd.workers.chat.tools import ParsedCall
from mlxd.workers.chat.want import Thinking
from mlxd.workers.engine.grammar import special_tokens

WEATHER: dict[str, object] = {
    "type": "object",
    "properties": {
        "city": {"type": "string"},
        "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
        "days": {"type": "integer", "minimum": 1, "maximum": 9},
        "exact": {"type": "boolean"},
    },
    "required": ["city", "days"],
    "additionalProperties": False,
}
LIST: dict[str, object] = {
    "type": "object",
    "properties": {
        "items": {"type": "array", "items": {"$ref": "#/$defs/item"}, "maxItems": 2},
        "where": {"type": "object", "properties": {"x": {"type": "number"}}, "required": ["x"]},
    },
    "required": ["where"],
    "additionalProperties": False,
    "$defs": {"item": {"enum": ["a", "b"]}},
}
NOTHING: dict[str, object] = {"type": "object", "properties": {}, "additionalProperties": False}
TOOLS = (
    Tool(name="get_weather", parameters=WEATHER, strict=True),
    Tool(name="sort", parameters=LIST, strict=True),
    Tool(name="stop_it", parameters=NOTHING, strict=True),
)
SCHEMAS: dict[str, Any] = {tool.name: tool.parameters for tool in TOOLS}


@functools.cache
def walker(form: CallFormat, with_markers: bool) -> Walker:
    return Walker(form.tokenizer(with_markers=with_markers))


def write(
    form: CallFormat,
    with_markers: bool,
    seed: int,
    *,
    thinking: Thinking = Thinking.UNASKED,
    begin: str = "",
    **fields: Any,
) -> tuple[str, list[ParsedCall], str]:
    """Return a text at random, the calls read from it, and what else can be seen."""
    known = walker(form, with_markers)
    request = ChatRequest(turns=(Turn(role=Role.USER, text="x"),), **fields)
    reading = form.reading(known.tokenizer)
    asked = demand.of_chat(request, thinking, reading, special_tokens(known.tokenizer))
    text = known.walk(known.compiler.compile(asked.text()), seed, begin=begin)
    splitter = reading.splitter(request.tools, reasoning=thinking is Thinking.IS_OPEN)
    assert splitter is not None
    pieces = [*splitter.feed(text), *splitter.finish(complete=True)]
    calls = [call for piece in pieces for call in piece.calls]
    visible = "".join(piece.text for piece in pieces if piece.kind is Kind.TEXT)
    return text, calls, visible


def _validates(call: ParsedCall) -> bool:
    return Draft202012Validator(SCHEMAS[call.name]).is_valid(json.loads(call.arguments))


CASES = [(form, True) for form in FORMATS] + [(form, False) for form in FORMATS if form.spelled_too]


def each_case(test: Any) -> Any:
    ids = [f"{form.name}-{'special' if markers else 'spelled'}" for form, markers in CASES]
    return pytest.mark.parametrize(("form", "with_markers"), CASES, ids=ids)(test)


@each_case
@settings(max_examples=15)
@given(seed=st.integers(0, 2**32), many=st.booleans())
def test_one_of_the_tools_is_called(
    form: CallFormat, with_markers: bool, seed: int, many: bool
) -> None:
    text, calls, visible = write(
        form, with_markers, seed, tools=TOOLS, must_call=MustCall(), parallel_calls=many
    )
    assert calls, text
    assert many or len(calls) == 1, text
    assert visible.strip() == "", text
    assert all(_validates(call) for call in calls), text


@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.name)
@settings(max_examples=10)
@given(seed=st.integers(0, 2**32), named=st.sampled_from(TOOLS))
def test_the_named_tool_is_called_once(form: CallFormat, seed: int, named: Tool) -> None:
    text, calls, _ = write(form, True, seed, tools=TOOLS, must_call=MustCall(name=named.name))
    assert [call.name for call in calls] == [named.name], text
    assert _validates(calls[0]), text


@each_case
@settings(max_examples=15)
@given(seed=st.integers(0, 2**32), before=st.sampled_from(["", "Well.\n"]))
def test_strict_arguments_validate_where_the_model_calls_by_itself(
    form: CallFormat, with_markers: bool, seed: int, before: str
) -> None:
    start = form.start(walker(form, with_markers).tokenizer)
    begin = start if form.name == "harmony" else before + start
    text, calls, visible = write(form, with_markers, seed, tools=TOOLS, begin=begin)
    assert calls, text
    assert all(_validates(call) for call in calls), text
    assert visible.startswith(before.strip()) or form.name == "harmony"


@each_case
@settings(max_examples=10)
@given(seed=st.integers(0, 2**32))
def test_an_answer_is_a_call_or_what_was_asked_for(
    form: CallFormat, with_markers: bool, seed: int
) -> None:
    wanted = JsonSchema(schema={"type": "object", "properties": {"a": {"const": 1}}})
    text, calls, visible = write(
        form, with_markers, seed, tools=TOOLS, controls=Controls(output=wanted)
    )
    assert all(_validates(call) for call in calls), text
    assert calls or json.loads(visible).get("a", 1) == 1, text


@pytest.mark.parametrize("thinking", [Thinking.IS_OPEN, Thinking.MAY_OPEN, Thinking.IS_CLOSED])
@settings(max_examples=10)
@given(seed=st.integers(0, 2**32))
def test_reasoning_is_free_and_comes_first(thinking: Thinking, seed: int) -> None:
    form = FORMATS[0]
    text, calls, _ = write(
        form, True, seed, tools=TOOLS[:1], must_call=MustCall(), thinking=thinking
    )
    before, _, after = text.rpartition("</think>")
    assert after.lstrip("\n").startswith("<tool_call>"), text
    assert bool(before) or thinking is not Thinking.IS_OPEN
    assert not before or thinking is not Thinking.IS_CLOSED
    assert all(_validates(call) for call in calls)
