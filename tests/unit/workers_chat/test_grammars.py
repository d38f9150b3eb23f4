"""Grammars are compiled off the event loop and kept; one that can't be enforced names its field."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from support.tokenizers import byte_tokenizer

from mlxd.protocol.errors import InvalidRequest
from mlxd.protocol.kinds import ModelKind
from mlxd.protocol.spec import WorkerSpec
from mlxd.workers.chat import grammars as subject
from mlxd.workers.chat.formats import format_of
from mlxd.workers.chat.grammars import Grammars
from mlxd.workers.chat.output_format import JsonSchema, Lark, OutputFormat, Regex
from mlxd.workers.chat.request import ChatRequest, Controls, MustCall, Role, Tool, Turn
from mlxd.workers.chat.want import Thinking
from mlxd.workers.model import TextModel

NOT = {"type": "object", "properties": {"a": {"not": {}}}}


@pytest.fixture
def grammars() -> Iterator[Grammars]:
    tokenizer = byte_tokenizer()
    spec = WorkerSpec(model_id="m", kind=ModelKind.TEXT, path="", socket="", max_batch=1)
    ends = frozenset({tokenizer.eos_token_id})
    made = Grammars(TextModel(spec, tokenizer, 300, 1000, 1, ends), format_of(tokenizer))
    yield made
    made.close()


def output(wanted: OutputFormat) -> Controls:
    return Controls(output=wanted)


def chat(**fields: Any) -> ChatRequest:
    return ChatRequest(turns=(Turn(role=Role.USER, text="x"),), **fields)


async def test_the_same_demand_is_compiled_once(grammars: Grammars) -> None:
    first = await grammars.of_completion(output(JsonSchema(schema={"type": "integer"})))
    again = await grammars.of_completion(output(JsonSchema(schema={"type": "integer"})))
    other = await grammars.of_completion(output(JsonSchema(schema={"type": "number"})))
    assert first is again is not other
    assert await grammars.of_completion(Controls()) is None


async def test_what_was_used_last_is_kept(
    grammars: Grammars, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subject, "KEPT", 2)
    one, two, three = (output(Regex(pattern=text)) for text in "abc")
    first, second = await grammars.of_completion(one), await grammars.of_completion(two)
    assert await grammars.of_completion(one) is first
    await grammars.of_completion(three)
    assert await grammars.of_completion(one) is first
    assert await grammars.of_completion(two) is not second


@pytest.mark.parametrize(
    ("wanted", "word"),
    [
        (JsonSchema(schema=NOT, field="x"), "not"),
        (Regex(pattern="(", field="x"), "unclosed group"),
        (Lark(grammar="start: nothing", field="x"), 'unknown name: "nothing"'),
        (Lark(grammar="", field="x"), "start"),
        (Lark(grammar='start: T\nT: "a" & "b"', field="x"), "NoExtension"),
        (Regex(pattern="a" * subject.LONGEST, field="x"), "longer"),
    ],
)
async def test_a_refusal_names_the_field_and_the_reason(
    grammars: Grammars, wanted: OutputFormat, word: str
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        await grammars.of_completion(output(wanted))
    assert caught.value.field == "x"
    assert word in caught.value.message and len(caught.value.message) < 500
    assert "\n" not in caught.value.message


async def test_a_strict_tool_is_refused_by_its_own_name(grammars: Grammars) -> None:
    tools = (Tool(name="f", field="a"), Tool(name="g", parameters=NOT, strict=True, field="b"))
    with pytest.raises(InvalidRequest) as caught:
        await grammars.of_chat(chat(tools=tools), Thinking.UNASKED)
    assert caught.value.field == "b"


async def test_a_tool_that_is_not_strict_falls_back_to_any_object(grammars: Grammars) -> None:
    tools = (Tool(name="f", parameters=NOT),)
    request = chat(tools=tools, must_call=MustCall())
    grammar = await grammars.of_chat(request, Thinking.UNASKED)
    assert grammar is not None
    matcher = grammar.start()
    text = '<tool_call>\n{"name": "f", "arguments": {"b": 1}}\n</tool_call>'
    for at, token in enumerate(byte_tokenizer().encode(text, add_special_tokens=False)):
        matcher.take(at, token)
    assert matcher.error is None


@pytest.mark.parametrize(
    "schema",
    [
        {"$defs": {f"d{n}": {"items": {"$ref": f"#/$defs/d{n + 1}"}} for n in range(4000)}}
        | {"$ref": "#/$defs/d0"},
        {"anyOf": [{"properties": {f"{n}a{m}": {} for m in range(9)}} for n in range(400)]},
    ],
    ids=["deep", "wide"],
)
async def test_a_schema_beyond_measure_ends_nothing(grammars: Grammars, schema: Any) -> None:
    """A chain of definitions overflows the stack of a usual thread, and with it ends the process."""
    try:
        await grammars.of_completion(output(JsonSchema(schema=schema)))
    except InvalidRequest as refused:
        assert refused.field == "response_format"
    assert await grammars.of_completion(output(Regex(pattern="a"))) is not None


async def test_a_schema_nested_too_deeply_is_refused(grammars: Grammars) -> None:
    schema: dict[str, Any] = {}
    for _ in range(3000):
        schema = {"items": schema}
    with pytest.raises(InvalidRequest, match="nested too deeply"):
        await grammars.of_completion(output(JsonSchema(schema=schema)))


async def test_nobody_waits_for_a_grammar_but_who_asked_for_it(grammars: Grammars) -> None:
    large = {"enum": [f"value {n}" for n in range(60_000)]}
    compiling = asyncio.create_task(grammars.of_completion(output(JsonSchema(schema=large))))
    turns = 0
    while not compiling.done():
        turns += 1
        await asyncio.wait({compiling}, timeout=0)
    assert await compiling is not None
    assert turns > 10
