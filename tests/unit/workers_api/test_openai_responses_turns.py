"""Items become turns: what belongs together is one turn, what cannot be read is named."""

import json
from typing import Any

import msgspec
import pytest

from mlxd.protocol.errors import CallerError, InvalidRequest, UnsupportedField
from mlxd.protocol.openai_responses_items import seal, unseal
from mlxd.workers.api.openai_responses_turns import transcript
from mlxd.workers.chat.request import PastCall, Role, Turn

CALL = {"type": "function_call", "call_id": "c1", "name": "f", "arguments": '{"x": 1}'}
OUTPUT = {"type": "function_call_output", "call_id": "c1", "output": "42"}


def read(value: object, instructions: str | None = None) -> list[Turn]:
    return transcript(msgspec.Raw(json.dumps(value).encode()), instructions).turns


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def said(text: str) -> dict[str, Any]:
    content = [{"type": "output_text", "text": text, "annotations": []}]
    return {"type": "message", "role": "assistant", "id": "msg_1", "content": content}


def thought(text: str, **rest: Any) -> dict[str, Any]:
    content = [{"type": "reasoning_text", "text": text}]
    return {"type": "reasoning", "id": "rs_1", "summary": [], "content": content, **rest}


def test_a_string_is_a_question() -> None:
    assert read("hi") == [Turn(role=Role.USER, text="hi")]
    assert read("hi", "Be brief.")[0] == Turn(role=Role.SYSTEM, text="Be brief.")


@pytest.mark.parametrize("empty", ["", [], None])
def test_nothing_is_an_empty_question(empty: object) -> None:
    assert read(empty) == [Turn(role=Role.USER)]


def test_messages_come_in_short_and_in_full() -> None:
    parts = [{"type": "input_text", "text": "a"}, {"type": "input_text", "text": "b"}]
    full = {"type": "message", "role": "developer", "content": parts, "status": "completed"}
    refusal = {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]}
    assert read([full, user("hi"), refusal, {"role": "assistant", "content": None}]) == [
        Turn(role=Role.SYSTEM, text="a\nb"),
        Turn(role=Role.USER, text="hi"),
        Turn(role=Role.ASSISTANT, text="No."),
        Turn(role=Role.ASSISTANT),
    ]


def test_what_belongs_together_is_one_turn() -> None:
    second = CALL | {"call_id": "c2"}
    turns = read([user("hi"), thought("hm"), said("On it."), CALL, second, OUTPUT, said("Done.")])
    assert turns[1] == Turn(
        role=Role.ASSISTANT,
        text="On it.",
        reasoning="hm",
        calls=tuple(PastCall(id=at, name="f", arguments='{"x": 1}') for at in ("c1", "c2")),
    )
    assert turns[2] == Turn(role=Role.TOOL, text="42", call_id="c1")
    assert turns[3] == Turn(role=Role.ASSISTANT, text="Done.")


def test_messages_of_the_assistant_stay_apart_but_around_open_calls() -> None:
    assert [turn.text for turn in read([said("a"), said("b")])] == ["a", "b"]
    assert [turn.reasoning for turn in read([said("a"), thought("hm"), said("b")])] == [None, "hm"]
    (turn,) = read([thought("x"), CALL, thought("y"), said("b"), CALL | {"call_id": "c2"}])
    assert (turn.text, turn.reasoning, len(turn.calls)) == ("b", "x\ny", 2)


def test_reasoning_is_read_from_where_it_is() -> None:
    def reasoning(**item: Any) -> str | None:
        return read([{"type": "reasoning", "summary": [], **item}, said("a")])[0].reasoning

    summary = [{"type": "summary_text", "text": "short"}]
    assert reasoning(encrypted_content=seal("hm 🙂")) == "hm 🙂"
    assert reasoning(encrypted_content=seal("hm"), content=None, summary=summary) == "hm"
    assert reasoning(encrypted_content="gAAAAsomebody-else's") is None
    assert reasoning(encrypted_content="mlxd1.broken!") is None
    assert reasoning(encrypted_content=None, summary=summary) == "short"
    assert unseal(None) is None


@pytest.mark.parametrize(
    ("item", "call"),
    [
        ({"type": "custom_tool_call", "name": "p", "input": "a\nb"}, ("p", {"input": "a\nb"})),
        ({**CALL, "namespace": "mcp__x__"}, ("mcp__x__f", {"x": 1})),
        ({**CALL, "namespace": "x"}, ("x__f", {"x": 1})),
        ({**CALL, "namespace": "functions"}, ("f", {"x": 1})),
        ({**CALL, "arguments": {"x": 1}}, ("f", {"x": 1})),
        ({**CALL, "arguments": None}, ("f", {})),
        (
            {"type": "local_shell_call", "action": {"type": "exec", "command": ["ls"], "env": {}}},
            ("local_shell", {"command": ["ls"]}),
        ),
        ({"type": "shell_call", "action": {"commands": ["ls"]}}, ("shell", {"commands": ["ls"]})),
        (
            {"type": "apply_patch_call", "operation": {"type": "delete_file", "path": "a"}},
            ("apply_patch", {"path": "a"}),
        ),
        (
            {"type": "tool_search_call", "arguments": {"query": "q"}},
            ("tool_search", {"query": "q"}),
        ),
    ],
)
def test_calls_of_every_kind_are_calls(item: dict[str, Any], call: tuple[str, Any]) -> None:
    (turn,) = read([{"call_id": "c9", **item}])
    (found,) = turn.calls
    assert (found.name, json.loads(found.arguments)) == call
    assert found.id == item.get("call_id", "c9")


@pytest.mark.parametrize(
    ("output", "text"),
    [
        ("42", "42"),
        ([{"type": "input_text", "text": "a"}, {"type": "output_text", "text": "b"}], "a\nb"),
        ({"content": "failed", "success": False}, "failed"),
        ([{"stdout": "x", "outcome": {"exit_code": 0}}],
         '[{"stdout": "x", "outcome": {"exit_code": 0}}]'),
        ([], ""),
        (None, ""),
    ],
)  # fmt: skip
def test_outputs_of_every_form_are_text(output: object, text: str) -> None:
    for kind in ("function_call_output", "custom_tool_call_output", "shell_call_output"):
        assert read([{"type": kind, "call_id": "c", "output": output}]) == [
            Turn(role=Role.TOOL, text=text, call_id="c")
        ]


def test_tools_that_were_found_are_told_apart_from_what_was_said() -> None:
    tool = {"type": "function", "name": "late"}
    found = transcript(
        msgspec.Raw(
            json.dumps(
                [
                    {"type": "tool_search_output", "call_id": "c", "tools": [tool]},
                    {"type": "additional_tools", "role": "developer", "tools": [tool]},
                ]
            ).encode()
        ),
        None,
    )
    assert [path for path, _ in found.tools] == ["input[0].tools[0]", "input[1].tools[0]"]
    assert len(found.turns) == 1


def test_a_server_s_call_brings_its_output() -> None:
    call = {"type": "mcp_call", "id": "m1", "name": "f", "server_label": "x", "output": "7"}
    turns = read([call])
    assert turns[0].calls[0].name == "f"
    assert turns[1] == Turn(role=Role.TOOL, text="7", call_id="m1")


def test_what_others_did_on_the_way_is_passed_over() -> None:
    search = {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {}}
    assert read([user("hi"), search]) == [Turn(role=Role.USER, text="hi")]


@pytest.mark.parametrize(
    ("item", "field", "kind"),
    [
        ({"type": "poem"}, "input[0].type", InvalidRequest),
        ({}, "input[0].type", InvalidRequest),
        ({"type": 7}, "input[0].type", InvalidRequest),
        ({"role": "wizard", "content": ""}, "input[0].role", InvalidRequest),
        ({"role": "user", "content": 5}, "input[0].content", InvalidRequest),
        ({"role": "user", "content": [{"type": "input_text"}]}, "input[0].content[0].text",
         InvalidRequest),
        ({"role": "user", "content": [{"type": "smell"}]}, "input[0].content[0].type",
         InvalidRequest),
        ({"role": "user", "content": [{"type": "input_image"}]},
         "input[0].content[0].image_url", InvalidRequest),
        ({"role": "user", "content": [{"type": "input_image", "file_id": "f"}]},
         "input[0].content[0].file_id", UnsupportedField),
        ({"role": "user", "content": [{"type": "input_file"}]}, "input[0].content[0]",
         UnsupportedField),
        ({"role": "user", "content": [{"type": "input_audio"}]},
         "input[0].content[0].input_audio", InvalidRequest),
        ({"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": ""}}]},
         "input[0].content[0].input_audio.data", InvalidRequest),
        ({"type": "function_call_output", "call_id": "c",
          "output": [{"type": "input_image", "image_url": ""}]}, "input[0].output[0].image_url",
         InvalidRequest),
        ({"type": "function_call", "call_id": "c", "arguments": "{}"}, "input[0].name",
         InvalidRequest),
        ({"type": "custom_tool_call", "call_id": "c", "name": "x"}, "input[0].input",
         InvalidRequest),
        ({"type": "compaction", "encrypted_content": "x"}, "input[0].type", UnsupportedField),
        ({"type": "computer_call_output"}, "input[0].type", UnsupportedField),
        ({"type": "item_reference", "id": "x"}, "input[0].type", UnsupportedField),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_named(
    item: dict[str, Any], field: str, kind: type[CallerError]
) -> None:
    with pytest.raises(kind) as caught:
        read([item])
    assert caught.value.field == field
    assert caught.value.message.startswith(field)


@pytest.mark.parametrize("value", [5, {"role": "user"}, [5], ["x"]])
def test_what_is_no_list_of_items_is_refused(value: object) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read(value)
    assert caught.value.field == "input"


def test_what_is_nested_too_deeply_is_refused() -> None:
    deep = b'[{"role":"user","content":' + b"[" * 5000 + b"]" * 5000 + b"}]"
    with pytest.raises(InvalidRequest):
        transcript(msgspec.Raw(deep), None)
