"""What a request demands becomes one grammar, or is refused by the name of the field that can't be met."""

import functools
from typing import Any

import pytest
from support.call_formats import FORMATS
from support.grammar_walk import Walker
from support.tokenizers import byte_tokenizer

from mlxd.protocol.errors import CallerError, InvalidRequest, UnsupportedField
from mlxd.workers.chat import demand
from mlxd.workers.chat.formats import format_of
from mlxd.workers.chat.lark import Demand
from mlxd.workers.chat.output_format import (
    Choice,
    JsonObject,
    JsonSchema,
    Lark,
    OutputFormat,
    Regex,
)
from mlxd.workers.chat.request import ChatRequest, Controls, MustCall, Role, Tool, Turn
from mlxd.workers.chat.want import Thinking
from mlxd.workers.engine.grammar import CompiledGrammar, special_tokens

WITHOUT_NOTATION = "<|tool_call>call:f{}<tool_call|>"
"""How mlx-lm knows Gemma 4, whose calls no grammar here writes."""
OPEN = {"type": "object", "properties": {"a": {"anyOf": [{"type": "integer"}, {"type": "string"}]}}}


@functools.cache
def walker(template: str) -> Walker:
    return Walker(byte_tokenizer(template))


def chat(**fields: Any) -> ChatRequest:
    return ChatRequest(turns=(Turn(role=Role.USER, text="x"),), **fields)


def asked(request: ChatRequest, template: str = FORMATS[0].template) -> Demand:
    tokenizer = walker(template).tokenizer
    reading, specials = format_of(tokenizer), special_tokens(tokenizer)
    return demand.of_chat(request, Thinking.UNASKED, reading, specials)


def compiled(output: OutputFormat) -> tuple[Walker, CompiledGrammar]:
    known = walker(FORMATS[0].template)
    return known, known.compiler.compile(demand.of_completion(output, {}).text())


@pytest.mark.parametrize(
    ("output", "valid", "invalid"),
    [
        (JsonObject(), ["{}", '{"a":[1]}'], ["[]", "1", "{"]),
        (Regex(pattern=r"\d{2}/\w"), ["12/a"], ["1/a", "١٢/a", "12/é", "12/"]),
        (Regex(pattern=r"[\d\]]+\D"), ["1]x", "1\n"], ["1", "x", "11"]),
        (Regex(pattern="a\n\"b'"), ["a\n\"b'"], ["a"]),
        (Choice(options=("yes", 'n"o\n', "é/ü")), ["yes", 'n"o\n', "é/ü"], ["ye", "yesn", ""]),
        (Lark(grammar='start: a+\na: "x" /[0-9]/'), ["x1", "x1x2"], ["x", "1"]),
        (JsonSchema(schema=True), ["1", '"a"'], ["a"]),
    ],
)
def test_each_way_to_say_what_text_must_look_like(
    output: OutputFormat, valid: list[str], invalid: list[str]
) -> None:
    known, grammar = compiled(output)
    assert [text for text in valid if not known.accepts(grammar, text)] == []
    assert [text for text in invalid if known.accepts(grammar, text)] == []


@pytest.mark.parametrize("options", [(), ("",), ("a", "")])
def test_a_choice_of_nothing_is_refused(options: tuple[str, ...]) -> None:
    with pytest.raises(InvalidRequest) as caught:
        demand.of_completion(Choice(options=options, field="f.choice"), {})
    assert caught.value.field == "f.choice"


def test_a_request_without_demands_is_free() -> None:
    tools = (Tool(name="f"),)
    assert demand.is_free(chat(tools=tools))
    assert not demand.is_free(chat(tools=(*tools, Tool(name="g", strict=True))))
    assert not demand.is_free(chat(tools=tools, must_call=MustCall()))
    assert not demand.is_free(chat(controls=Controls(output=JsonObject())))


STRICT_UNION = Tool(name="f", parameters=OPEN, strict=True, field="tools[0].function.parameters")


@pytest.mark.parametrize(
    ("template", "fields", "named"),
    [
        ("json_tools", {"must_call": MustCall(field="x")}, "x"),
        (
            "json_tools",
            {"must_call": MustCall(name="g", field="x"), "tools": [Tool(name="f")]},
            "x",
        ),
        ("json_tools", {"must_call": MustCall(), "tools": [Tool(name="a b", field="t")]}, "t"),
        ("pythonic", {"must_call": MustCall(), "tools": [Tool(name="a-b", field="t")]}, "t"),
        (
            "pythonic",
            {
                "must_call": MustCall(),
                "tools": [
                    Tool(name="f", parameters={"properties": {"class": {}}}, field="t"),
                ],
            },
            "t",
        ),
        ("qwen3_coder", {"tools": [STRICT_UNION]}, "tools[0].function.parameters"),
        (WITHOUT_NOTATION, {"must_call": MustCall(), "tools": [Tool(name="f")]}, "tool_choice"),
        (WITHOUT_NOTATION, {"tools": [Tool(name="f", strict=True, field="t")]}, "t"),
        (
            "json_tools",
            {
                "tools": [
                    Tool(
                        name="f",
                        parameters={"type": "object", "minProperties": 5},
                        strict=True,
                        field="t",
                    )
                ]
            },
            "t",
        ),
        (
            "json_tools",
            {"controls": Controls(output=JsonObject(field="o")), "prefill": "{"},
            "o",
        ),
    ],
)
def test_what_can_not_be_met_is_refused_by_name(
    template: str, fields: dict[str, Any], named: str
) -> None:
    templates = {form.name: form.template for form in FORMATS}
    tools = tuple(fields.pop("tools", ()))
    with pytest.raises(CallerError) as caught:
        asked(chat(tools=tools, **fields), templates.get(template, template))
    assert caught.value.field == named


def test_a_model_whose_calls_no_grammar_writes_may_still_call_instead_of_answering() -> None:
    known = walker(WITHOUT_NOTATION)
    output = JsonSchema(schema={"const": 1})
    request = chat(tools=(Tool(name="f"),), controls=Controls(output=output))
    grammar = known.compiler.compile(asked(request, WITHOUT_NOTATION).text())
    assert known.accepts(grammar, "1")
    assert known.accepts(grammar, "<|tool_call>call:f{}<tool_call|>")
    assert not known.accepts(grammar, "hello")


def test_arguments_of_any_type_are_text_where_nobody_is_strict() -> None:
    template = next(form.template for form in FORMATS if form.name == "qwen3_coder")
    known = walker(template)
    loose = Tool(name="f", parameters=OPEN)
    grammar = known.compiler.compile(
        asked(chat(tools=(loose,), must_call=MustCall()), template).text()
    )
    call = "<tool_call>\n<function=f>\n<parameter=a>\nany text\n</parameter>\n</function>\n</tool_call>"
    assert known.accepts(grammar, call)
    with pytest.raises(UnsupportedField, match="what the argument 'a' may be"):
        asked(chat(tools=(STRICT_UNION,), must_call=MustCall()), template)
