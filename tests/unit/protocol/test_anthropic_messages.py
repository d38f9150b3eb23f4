"""Bodies of Anthropic's Messages: what reads, and which field a refusal names."""

import json
from typing import Any

import pytest

from mlxd.protocol import anthropic_messages as wire
from mlxd.protocol.errors import CallerError, InvalidRequest, UnsupportedField

USER = {"role": "user", "content": "hi"}
WHOLE: dict[str, Any] = {"model": "m", "max_tokens": 5, "messages": [USER]}


def decode(**fields: Any) -> wire.MessagesRequest:
    return wire.decode(json.dumps(WHOLE | fields).encode())


def content(*blocks: Any, role: str = "user") -> dict[str, Any]:
    return {"messages": [{"role": role, "content": list(blocks)}]}


def test_the_smallest_body_reads() -> None:
    assert decode().messages == [wire.Message("user", "hi")]


@pytest.mark.parametrize("name", sorted(wire.IGNORED - {"metadata", "service_tier"}))
@pytest.mark.parametrize("value", [None, "x", {"a": [1]}, True])
def test_a_field_that_changes_nothing_may_hold_anything(name: str, value: object) -> None:
    assert decode(**{name: value}) == decode()


def test_markers_of_the_prompt_cache_may_stand_anywhere() -> None:
    marker = {"cache_control": {"type": "ephemeral", "ttl": "1h", "scope": "global"}}
    text = {"type": "text", "text": "a"}
    tool = {"name": "f", "input_schema": {"type": "object"}}
    result = {"type": "tool_result", "tool_use_id": "t", "content": [text]}
    plain = decode(system=[text], tools=[tool], **content(text, result))
    marked = decode(
        system=[text | marker],
        tools=[tool | marker],
        **content(text | marker, result | {"content": [text | marker]} | marker),
        **marker,
    )
    assert marked == plain


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"model": 5}, "model"),
        ({"messages": "hi"}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "developer", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
        (content({"type": "smell"}), "messages[0].content[0].type"),
        (content({"type": "server_tool_use"}), "messages[0].content[0].type"),
        (content({"type": "text"}), "messages[0].content[0].text"),
        (content({"type": "text", "text": 5}), "messages[0].content[0].text"),
        (
            content({"type": "tool_use", "id": "x", "name": "f", "input": "{}"}, role="assistant"),
            "messages[0].content[0].input",
        ),
        (
            content({"type": "tool_result", "content": "x"}),
            "messages[0].content[0].tool_use_id",
        ),
        ({"max_tokens": "many"}, "max_tokens"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"system": {"type": "text", "text": "a"}}, "system"),
        ({"system": [{"type": "image", "source": {}}]}, "system[0].type"),
        ({"stop_sequences": "x"}, "stop_sequences"),
        ({"stream": "yes"}, "stream"),
        ({"temperature": -1}, "temperature"),
        ({"top_p": 2}, "top_p"),
        ({"top_k": 1.5}, "top_k"),
        ({"metadata": "me"}, "metadata"),
        ({"metadata": {"user_id": 5}}, "metadata.user_id"),
        ({"service_tier": 1}, "service_tier"),
        ({"tools": [{"name": 5}]}, "tools[0].name"),
        ({"tool_choice": "auto"}, "tool_choice"),
        ({"tool_choice": {"type": "required"}}, "tool_choice.type"),
        ({"thinking": True}, "thinking"),
        ({"thinking": {"type": "loud"}}, "thinking.type"),
        ({"thinking": {"type": "enabled"}}, "thinking.budget_tokens"),
        ({"thinking": {"type": "enabled", "budget_tokens": 0}}, "thinking.budget_tokens"),
        ({"output_config": {"effort": "heroic"}}, "output_config.effort"),
        ({"output_config": {"format": {"type": "xml"}}}, "output_config.format.type"),
        ({"output_config": {"format": {"type": "json_schema"}}}, "output_config.format.schema"),
    ],
)
def test_a_wrong_value_is_refused_by_its_field(fields: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        decode(**fields)
    assert caught.value.field == named
    assert caught.value.message.startswith(named)


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"container": "c_1"}, "container"),
        ({"mcp_servers": [{"type": "url", "url": "http://x"}]}, "mcp_servers"),
    ],
)
def test_what_is_known_and_not_there_is_refused_by_its_name(
    fields: dict[str, Any], named: str
) -> None:
    with pytest.raises(UnsupportedField) as caught:
        decode(**fields)
    assert caught.value.field == named


def test_what_asks_for_nothing_is_no_reason_to_refuse() -> None:
    assert decode(container=None, mcp_servers=[], output_config={}, thinking=None)


def test_max_tokens_is_required_of_an_answer_and_not_of_a_count() -> None:
    body = wire.decode(json.dumps({"model": "m", "messages": [USER]}).encode())
    with pytest.raises(InvalidRequest) as caught:
        wire.max_tokens(body)
    assert caught.value.field == "max_tokens"
    assert wire.max_tokens(decode(max_tokens=0)) == 0


def test_stop_sequences_are_few_and_none_is_empty() -> None:
    assert wire.stops(decode(stop_sequences=["a", "", "b", "a"])) == ("a", "b")
    with pytest.raises(InvalidRequest, match="stop_sequences"):
        wire.stops(decode(stop_sequences=[str(number) for number in range(wire.MAX_STOPS + 1)]))


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"model": "\xff"}', b"[" * 100_000])
def test_what_is_no_body_is_refused(body: bytes) -> None:
    with pytest.raises(CallerError):
        wire.decode(body)
