"""Anthropic's messages become turns that no dialect's shape shows through, or are refused by the part at fault."""

import json
from typing import Any

import pytest

from mlxd.protocol import anthropic_messages as wire
from mlxd.protocol.errors import CallerError, InvalidRequest, UnsupportedField
from mlxd.workers.api.anthropic_turns import must_call, tools, turns
from mlxd.workers.chat.request import MustCall, PastCall, Role, Tool, Turn

BILLING = "x-anthropic-billing-header: cc_version=2.1.280.{}; cc_entrypoint=cli; cch={};"
BUDGET = "<total_tokens>{} tokens left</total_tokens>"
F: dict[str, Any] = {"name": "f", "input_schema": {"type": "object"}}


def text(content: str) -> dict[str, object]:
    return {"type": "text", "text": content}


def request(*messages: Any, **fields: Any) -> wire.MessagesRequest:
    return wire.decode(json.dumps({"model": "m", "messages": list(messages)} | fields).encode())


def user(*blocks: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(blocks)}


def assistant(*blocks: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": list(blocks)}


def translated(*messages: Any, **fields: Any) -> tuple[Turn, ...]:
    found, begun = turns(request(*messages, **fields))
    assert begun == ""
    return found


def test_a_tool_loop_becomes_turns_in_its_order() -> None:
    use = {"type": "tool_use", "id": "t1", "name": "f", "input": {"a": 1, "b": "é"}}
    result = {"type": "tool_result", "tool_use_id": "t1", "content": [text("1"), text("2")]}
    failed = {"type": "tool_result", "tool_use_id": "t2", "is_error": True, "content": "none"}
    silent = {"type": "tool_result", "tool_use_id": "t3"}
    found = translated(
        user(text("a"), text("b")),
        assistant(
            {"type": "thinking", "thinking": "why", "signature": "x"},
            {"type": "redacted_thinking", "data": "y"},
            text("On "),
            text("it."),
            use,
            text("And on."),
        ),
        user(text("first"), result, failed, silent, text("Go"), text("on")),
        system="Be brief.",
    )
    assert found == (
        Turn(role=Role.SYSTEM, text="Be brief."),
        Turn(role=Role.USER, text="a\nb"),
        Turn(
            role=Role.ASSISTANT,
            text="On it.\n\nAnd on.",
            reasoning="why",
            calls=(PastCall(id="t1", name="f", arguments='{"a": 1, "b": "é"}'),),
        ),
        Turn(role=Role.USER, text="first"),
        Turn(role=Role.TOOL, text="1\n2", call_id="t1"),
        Turn(role=Role.TOOL, text="Error: none", call_id="t2"),
        Turn(role=Role.TOOL, text="", call_id="t3"),
        Turn(role=Role.USER, text="Go\non"),
    )


def test_system_blocks_are_paragraphs_and_a_later_system_message_stays_where_it_is() -> None:
    found = translated(
        {"role": "user", "content": "hi"},
        {"role": "system", "content": [text("Note.")]},
        {"role": "user", "content": "go"},
        system=[text("One."), text(""), text("Two.")],
    )
    assert found == (
        Turn(role=Role.SYSTEM, text="One.\n\nTwo."),
        Turn(role=Role.USER, text="hi"),
        Turn(role=Role.SYSTEM, text="Note."),
        Turn(role=Role.USER, text="go"),
    )


@pytest.mark.parametrize(
    ("system", "left"),
    [
        ([text(BILLING.format("a1b", "12345")), text("You are X.")], "You are X."),
        (BILLING.format("a1b", "12345") + "\nYou are X.", "You are X."),
        ([text("You are X.\n" + BILLING.format("a1b", "12345"))], "You are X.\n"),
        ([text(BILLING.format("a1b", "00000") + "\n"), text("You are X.")], "You are X."),
    ],
)
def test_who_pays_is_no_part_of_the_prompt(system: Any, left: str) -> None:
    """F2: the line differs from request to request and stands at the prompt's very head."""
    assert translated(user(text("hi")), system=system)[0] == Turn(role=Role.SYSTEM, text=left)


def test_a_system_prompt_of_nothing_but_who_pays_is_none() -> None:
    found = translated(user(text("hi")), system=BILLING.format("a1b", "12345"))
    assert found == (Turn(role=Role.USER, text="hi"),)


def test_who_pays_may_be_talked_about() -> None:
    line = BILLING.format("a1b", "12345")
    assert translated(user(text(line)))[0].text == line


def test_the_countdown_of_tokens_is_no_part_of_the_prompt() -> None:
    """F3: the number counts another model's window, and differs from request to request."""
    found = translated(
        user(text("hi")),
        {"role": "system", "content": BUDGET.format(15_000)},
        {"role": "system", "content": [text("\n" + BUDGET.format(9) + "\n")]},
        user(text(BUDGET.format(7))),
        {"role": "system", "content": "Mind: " + BUDGET.format(5)},
    )
    assert [turn.text for turn in found] == [
        "hi", BUDGET.format(7), "Mind: " + BUDGET.format(5),
    ]  # fmt: skip


def test_assistant_messages_that_follow_each_other_are_one_turn() -> None:
    use = {"type": "tool_use", "id": "t1", "name": "f", "input": {}}
    thought = {"type": "thinking", "thinking": "hm", "signature": ""}
    found = translated(user(text("a")), assistant(thought, text("b")), assistant(use), user())
    assert found[1] == Turn(
        role=Role.ASSISTANT,
        text="b",
        reasoning="hm",
        calls=(PastCall(id="t1", name="f", arguments="{}"),),
    )
    assert found[2] == Turn(role=Role.USER)


@pytest.mark.parametrize("content", ["So", [text("S"), text("o")]])
def test_the_last_words_of_the_assistant_begin_the_answer(content: Any) -> None:
    body = request(user(text("a")), {"role": "assistant", "content": content})
    assert turns(body) == ((Turn(role=Role.USER, text="a"),), "So")


def test_an_assistants_call_at_the_end_begins_no_answer() -> None:
    use = {"type": "tool_use", "id": "t1", "name": "f", "input": {}}
    thought = {"type": "thinking", "thinking": "hm", "signature": ""}
    assert translated(user(text("a")), assistant(text("b"), use))[-1].calls
    assert translated(user(text("a")), assistant(thought, text("b")))[-1].reasoning == "hm"


def test_documents_of_text_are_read() -> None:
    plain = {
        "type": "document",
        "title": "T",
        "context": "C",
        "source": {"type": "text", "media_type": "text/plain", "data": "words"},
        "citations": {"enabled": False},
    }
    blocks = {"type": "document", "source": {"type": "content", "content": [text("a"), text("b")]}}
    whole = {"type": "document", "source": {"type": "content", "content": "c"}}
    search = {"type": "search_result", "title": "S", "source": "u", "content": [text("found")]}
    (turn,) = translated(user(plain, blocks, whole, search))
    assert turn.text == (
        "<document>\ntitle: T\ncontext: C\nwords\n</document>\n"
        "<document>\na\nb\n</document>\n<document>\nc\n</document>\n"
        "<search_result>\ntitle: S\nsource: u\nfound\n</search_result>"
    )


PNG = {"type": "base64", "media_type": "image/png", "data": ""}
PICTURE: dict[str, Any] = {"type": "image", "source": PNG}
PDF = {"type": "base64", "media_type": "application/pdf", "data": ""}


@pytest.mark.parametrize(
    ("block", "named"),
    [
        ({"type": "image", "source": {"type": "file", "file_id": "f"}}, ".source"),
        ({"type": "document", "source": PDF}, ""),
        ({"type": "document", "source": {"type": "url", "url": "http://x"}}, ""),
        ({"type": "document", "source": {"type": "file", "file_id": "f"}}, ""),
        ({"type": "document", "source": {"type": "content", "content": [PICTURE]}}, ".source.content[0]"),
        (
            {"type": "document", "source": {"type": "text", "data": ""}, "citations": {"enabled": True}},
            ".citations",
        ),
    ],
)  # fmt: skip
def test_what_a_text_model_cannot_take_is_refused_by_its_place(block: Any, named: str) -> None:
    with pytest.raises(UnsupportedField) as caught:
        turns(request(user(text("see"), block)))
    assert caught.value.field == f"messages[0].content[1]{named}"


@pytest.mark.parametrize(
    "message",
    [
        user({"type": "tool_use", "id": "t", "name": "f", "input": {}}),
        user({"type": "thinking", "thinking": "", "signature": ""}),
        assistant({"type": "tool_result", "tool_use_id": "t"}),
        assistant(PICTURE),
        {"role": "system", "content": [PICTURE]},
    ],
)
def test_a_block_in_the_wrong_mouth_is_refused_by_its_place(message: Any) -> None:
    with pytest.raises(CallerError) as caught:
        turns(request(message))
    assert caught.value.field == "messages[0].content[0]"


def test_tools_of_the_callers_own_are_offered() -> None:
    body = request(
        user(),
        tools=[F, {"type": "custom", "name": "g", "description": "G", "input_schema": {}, "strict": True}],
    )  # fmt: skip
    assert tools(body, callable_here=True) == (
        Tool(name="f", parameters={"type": "object"}, field="tools[0].input_schema"),
        Tool(name="g", description="G", parameters={}, strict=True, field="tools[1].input_schema"),
    )


@pytest.mark.parametrize(
    "kind",
    ["web_search_20250305", "bash_20250124", "code_execution_20250825", "mcp_toolset", "x" * 999],
)
def test_a_hosted_tool_is_refused_by_its_name(kind: str) -> None:
    with pytest.raises(UnsupportedField, match=kind[:64]) as caught:
        tools(request(user(), tools=[F, {"type": kind, "name": "w"}]), callable_here=True)
    assert caught.value.field == "tools[1].type"


@pytest.mark.parametrize(
    ("tool", "named"),
    [({"input_schema": {}}, "name"), ({"name": "f"}, "input_schema"), ({"name": ""}, "name")],
)
def test_a_tool_that_lacks_something_is_refused_by_it(tool: Any, named: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        tools(request(user(), tools=[tool]), callable_here=True)
    assert caught.value.field == f"tools[0].{named}"


def test_tools_are_refused_where_nobody_could_read_their_calls() -> None:
    with pytest.raises(UnsupportedField, match="tools"):
        tools(request(user(), tools=[F]), callable_here=False)
    none = request(user(), tools=[F], tool_choice={"type": "none"})
    assert tools(none, callable_here=False) == ()


@pytest.mark.parametrize(
    ("choice", "demanded"),
    [
        (None, None),
        ({"type": "auto"}, None),
        ({"type": "none"}, None),
        ({"type": "any"}, MustCall()),
        ({"type": "tool", "name": "f"}, MustCall(name="f")),
    ],
)
def test_a_choice_of_tools_is_handed_on(choice: Any, demanded: MustCall | None) -> None:
    body = request(user(), tools=[F], tool_choice=choice)
    assert must_call(body, tools(body, callable_here=True)) == demanded


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"tool_choice": {"type": "any"}}, "tool_choice"),
        ({"tool_choice": {"type": "tool", "name": "g"}, "tools": [F]}, "tool_choice.name"),
        ({"tool_choice": {"type": "tool"}, "tools": [F]}, "tool_choice.name"),
    ],
)
def test_a_call_that_no_tool_can_be_is_refused(fields: dict[str, Any], named: str) -> None:
    body = request(user(), **fields)
    with pytest.raises(InvalidRequest) as caught:
        must_call(body, tools(body, callable_here=True))
    assert caught.value.field == named


def test_pictures_stay_where_they_stand_in_messages_and_results() -> None:
    result = {"type": "tool_result", "tool_use_id": "t", "content": [text("a"), PICTURE]}
    said = turns(request(user(result, text("see"), PICTURE, text("this"))))[0]
    assert [[getattr(piece, "base64", piece) for piece in turn.pieces] for turn in said] == [
        ["a", ""],
        ["see", "", "this"],
    ]
    assert said[1].images[0].field == "messages[0].content[2].source.data"
