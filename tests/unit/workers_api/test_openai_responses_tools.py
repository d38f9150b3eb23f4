"""Tools become functions the model knows by one name, and calls go back to what the client declared."""

from typing import Any

import pytest

from mlxd.protocol.errors import CallerError, InvalidRequest, UnsupportedField
from mlxd.workers.api.openai_responses_calls import custom_input
from mlxd.workers.api.openai_responses_tools import (
    Callee,
    CallKind,
    Toolbox,
    chosen,
    known_as,
    toolbox,
)
from mlxd.workers.chat.request import MustCall

F = {"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": True}
PATCH = {
    "type": "custom",
    "name": "apply_patch",
    "description": "Change files.",
    "format": {"type": "grammar", "syntax": "lark", "definition": 'start: "x"'},
}


def box(*specs: dict[str, Any]) -> Toolbox:
    return toolbox([(f"tools[{at}]", spec) for at, spec in enumerate(specs)])


def test_a_function_stays_one_and_strict_is_passed_on() -> None:
    found = box(F, {"type": "function", "name": "g", "description": "G", "parameters": None})
    assert [(tool.name, tool.strict, tool.field) for tool in found.tools] == [
        ("f", True, "tools[0].parameters"),
        ("g", False, "tools[1].parameters"),
    ]
    assert found.callee("f") == Callee(CallKind.FUNCTION, "f")


def test_a_custom_tool_is_a_function_of_one_string_that_tells_its_grammar() -> None:
    (tool,) = box(PATCH).tools
    assert tool.parameters is not None
    assert tool.parameters["required"] == ["input"]
    assert tool.description is not None
    assert 'this lark grammar:\nstart: "x"' in tool.description


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ('{"input": "a\\nb"}', "a\nb"),
        ('{"patch": "a"}', "a"),
        ('{"a": "x", "b": "y"}', '{"a": "x", "b": "y"}'),
        ("{}", "{}"),
        ("nonsense", "nonsense"),
        ("", ""),
    ],
)
def test_the_input_of_a_custom_tool_is_found(arguments: str, text: str) -> None:
    assert custom_input(arguments) == text


def test_a_namespace_s_tools_carry_its_name() -> None:
    found = box(
        {"type": "namespace", "name": "mcp__a__", "description": "A", "tools": [F, PATCH]},
        {"type": "namespace", "name": "b", "tools": [F]},
        {"type": "namespace", "name": "functions", "tools": [F]},
    )
    assert [tool.name for tool in found.tools] == [
        "mcp__a__f", "mcp__a__apply_patch", "b__f", "f",
    ]  # fmt: skip
    assert found.callee("b__f") == Callee(CallKind.FUNCTION, "f", "b")
    assert found.callee("f") == Callee(CallKind.FUNCTION, "f", "functions")
    assert found.callee("apply_patch") == Callee(CallKind.CUSTOM, "apply_patch", "mcp__a__")
    assert found.callee("unknown") == Callee(CallKind.FUNCTION, "unknown")
    assert known_as("f", None) == "f"


def test_what_codex_always_sends_is_accepted_and_not_offered() -> None:
    found = box(
        {"type": "web_search", "external_web_access": False},
        {"type": "image_generation", "output_format": "png"},
        {"type": "tool_search", "execution": "server"},
        {"type": "tool_search", "execution": "client", "description": "Find tools."},
        {"type": "local_shell"},
    )
    assert [tool.name for tool in found.tools] == ["tool_search", "local_shell"]


@pytest.mark.parametrize(
    ("spec", "field", "kind"),
    [
        ({"type": "file_search", "vector_store_ids": []}, "tools[0].type", UnsupportedField),
        ({"type": "code_interpreter", "container": "x"}, "tools[0].type", UnsupportedField),
        ({"type": "mcp", "server_label": "x"}, "tools[0].type", UnsupportedField),
        ({"type": "computer_use_preview"}, "tools[0].type", UnsupportedField),
        ({"type": "shell"}, "tools[0].type", UnsupportedField),
        ({"type": "apply_patch"}, "tools[0].type", UnsupportedField),
        ({"type": "web_search_preview"}, "tools[0].type", UnsupportedField),
        ({}, "tools[0].type", InvalidRequest),
        ({"type": ["function"]}, "tools[0].type", InvalidRequest),
        ({"type": "function"}, "tools[0].name", InvalidRequest),
        ({"type": "function", "name": ""}, "tools[0].name", InvalidRequest),
        ({"type": "function", "name": "f", "parameters": 3}, "tools[0].parameters",
         InvalidRequest),
        ({"type": "namespace", "name": "n", "tools": [{"type": "mcp"}]}, "tools[0].tools[0].type",
         UnsupportedField),
        ({"type": "namespace", "name": "n", "tools": [{"type": "namespace"}]},
         "tools[0].tools[0].type", UnsupportedField),
    ],
)  # fmt: skip
def test_what_cannot_be_offered_is_named(
    spec: dict[str, Any], field: str, kind: type[CallerError]
) -> None:
    with pytest.raises(kind) as caught:
        box(spec)
    assert caught.value.field == field


def test_the_choice_says_what_may_and_what_must_be_called() -> None:
    found = box(F, PATCH, {"type": "namespace", "name": "n", "tools": [F]})
    everything = found.tools
    assert chosen(found, None) == chosen(found, "auto") == (everything, None)
    assert chosen(found, "none") == ((), None)
    assert chosen(found, "required") == (everything, MustCall())
    assert chosen(found, {"type": "custom", "name": "apply_patch"}) == (
        everything,
        MustCall(name="apply_patch"),
    )
    named: dict[str, Any] = {"type": "function", "name": "f", "namespace": "n"}
    assert chosen(found, named)[1] == MustCall(name="n__f")
    allowed: dict[str, Any] = {"type": "allowed_tools", "mode": "required"}
    tools, must = chosen(found, allowed | {"tools": [{"type": "function", "name": "f"}]})
    assert ([tool.name for tool in tools], must) == (["f"], MustCall())


@pytest.mark.parametrize(
    ("choice", "field"),
    [
        ("always", "tool_choice"),
        ({}, "tool_choice"),
        ({"type": 3}, "tool_choice"),
        ({"type": "file_search"}, "tool_choice"),
        ({"type": "function", "name": "nobody"}, "tool_choice.name"),
        ({"type": "function"}, "tool_choice.name"),
        ({"type": "allowed_tools"}, "tool_choice.tools"),
        ({"type": "allowed_tools", "mode": "never", "tools": []}, "tool_choice.mode"),
        ({"type": "allowed_tools", "mode": "required", "tools": []}, "tool_choice"),
        ({"type": "allowed_tools", "tools": [{"name": "x"}]}, "tool_choice.tools[0].name"),
    ],
)
def test_a_choice_that_cannot_be_met_is_named(choice: Any, field: str) -> None:
    with pytest.raises(CallerError) as caught:
        chosen(box(F), choice)
    assert caught.value.field == field
