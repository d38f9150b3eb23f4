"""Tools and the choice among them become what the model may and must call, or are refused by name."""

import json
from typing import Any

import pytest

from mlxd.protocol import openai_chat as wire
from mlxd.protocol.errors import CallerError, UnsupportedField
from mlxd.workers.api.openai_tools import must_call, tools
from mlxd.workers.chat.request import MustCall, Tool

F: Any = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
G: Any = {"type": "function", "function": {"name": "g", "strict": True}}
NAMED = {"type": "function", "function": {"name": "f"}}
FIELD = "tools[0].function.parameters"


def request(**fields: object) -> wire.ChatCompletionRequest:
    messages = [{"role": "user", "content": "x"}]
    return wire.decode(json.dumps({"model": "m", "messages": messages} | fields).encode())


def allowed(mode: str, *names: str) -> dict[str, object]:
    entries = [{"type": "function", "function": {"name": name}} for name in names]
    return {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": entries}}


def test_tools_are_offered_only_where_they_may_be_called() -> None:
    offered = (Tool(name="f", parameters={"type": "object"}, field=FIELD),)
    for choice in (None, "auto", "required", NAMED):
        assert tools(request(tools=[F], tool_choice=choice), callable_here=True) == offered
    assert tools(request(tools=[F], tool_choice="none"), callable_here=False) == ()
    assert tools(request(tools=[]), callable_here=False) == ()
    some = request(tools=[F, G], tool_choice=allowed("auto", "g"))
    assert [tool.name for tool in tools(some, callable_here=True)] == ["g"]


def test_strict_is_handed_on() -> None:
    offered = tools(request(tools=[F, G]), callable_here=True)
    assert [tool.strict for tool in offered] == [False, True]


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (None, None),
        ("auto", None),
        ("none", None),
        ("required", MustCall()),
        (NAMED, MustCall(name="f")),
        (allowed("auto", "f"), None),
        (allowed("required", "f"), MustCall()),
    ],
)
def test_a_choice_says_what_must_be_called(choice: object, expected: MustCall | None) -> None:
    assert must_call(request(tools=[F], tool_choice=choice)) == expected


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"tools": [F], "tool_choice": "sometimes"}, "tool_choice"),
        ({"tools": [F], "tool_choice": {}}, "tool_choice"),
        ({"tools": [F], "tool_choice": {"type": "function"}}, "tool_choice"),
        ({"tools": [F], "tool_choice": {"type": "custom"}}, "tool_choice"),
        ({"tools": [F], "tool_choice": allowed("auto", "h")}, "tool_choice.allowed_tools.tools"),
        ({"tools": [F], "tool_choice": allowed("never", "f")}, "tool_choice.allowed_tools.mode"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
        ({"tools": [{"type": "function"}]}, "tools[0].function"),
    ],
)
def test_tools_we_cannot_serve_are_refused_by_name(fields: dict[str, object], named: str) -> None:
    body = request(**fields)
    with pytest.raises(CallerError) as caught:
        tools(body, callable_here=True)
        must_call(body)
    assert caught.value.field == named


def test_tools_for_a_model_that_cannot_call_are_refused() -> None:
    with pytest.raises(UnsupportedField) as caught:
        tools(request(tools=[F]), callable_here=False)
    assert caught.value.field == "tools"
