"""Translate the messages and tools of Anthropic's Messages into turns and tools.

What Claude Code writes anew into every request (who pays, how many tokens are left) never reaches the prompt, so that
a conversation's beginning stays the one the prompt cache knows.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby

from mlxd.protocol import anthropic_content as wire
from mlxd.protocol.anthropic_messages import Message, MessagesRequest
from mlxd.protocol.anthropic_messages import Tool as ToolSpec
from mlxd.protocol.errors import InvalidRequest, UnsupportedField
from mlxd.workers.api import images
from mlxd.workers.api.anthropic_documents import document, search_result
from mlxd.workers.chat.content import Content, ImagePart
from mlxd.workers.chat.request import MustCall, PastCall, Role, Tool, Turn
from mlxd.workers.chat.tools import json_text

_BILLING = re.compile(r"^x-anthropic-billing-header:[^\n]*\n?", re.MULTILINE)
_BUDGET = re.compile(r"\s*<total_tokens>[^<]*</total_tokens>\s*")


def turns(request: MessagesRequest) -> tuple[tuple[Turn, ...], str]:
    """Translate the conversation: its turns, and how the answer begins where the last message is the assistant's.

    Raises CallerError naming the part this model cannot take.
    """
    found = [_system(request.system)] if request.system else []
    for index, message in enumerate(request.messages):
        found += _turns(message, f"messages[{index}]")
    merged = _merge_assistants(turn for turn in found if not _is_empty_system(turn))
    last = merged[-1] if merged else None
    if last is None or not _is_beginning(request.messages[-1], last):
        return tuple(merged), ""
    return tuple(merged[:-1]), last.text


def _system(system: str | list[wire.Text]) -> Turn:
    texts = [system] if isinstance(system, str) else [block.text for block in system]
    cleaned = (_BILLING.sub("", text) for text in texts)
    return Turn(role=Role.SYSTEM, text="\n\n".join(text for text in cleaned if text.strip()))


def _is_empty_system(turn: Turn) -> bool:
    return turn.role is Role.SYSTEM and not turn.text


def _is_beginning(message: Message, turn: Turn) -> bool:
    """Tell whether the conversation ends with words put into the assistant's mouth, and nothing else."""
    if message.role != "assistant" or turn.calls or turn.reasoning:
        return False
    content = message.content
    return isinstance(content, str) or all(isinstance(block, wire.Text) for block in content)


def _turns(message: Message, path: str) -> Iterator[Turn]:
    content = message.content
    blocks = [wire.Text(content)] if isinstance(content, str) else content
    match message.role:
        case "system":
            yield _later_system(blocks, path)
        case "assistant":
            yield _assistant(blocks, path)
        case "user":
            yield from _user(blocks, path)


def _later_system(blocks: Sequence[wire.Block], path: str) -> Turn:
    for index, block in enumerate(blocks):
        if not isinstance(block, wire.Text):
            raise _misplaced(block, f"{path}.content[{index}]", "system")
    turn = _system([block for block in blocks if isinstance(block, wire.Text)])
    return replace(turn, text="") if _BUDGET.fullmatch(turn.text) else turn


def _user(blocks: Sequence[wire.Block], path: str) -> Iterator[Turn]:
    """Yield a turn for each result, and one for each run of what stands before, between and after them."""
    numbered = list(enumerate(blocks))
    for is_result, run in groupby(numbered, lambda pair: isinstance(pair[1], wire.ToolResult)):
        if is_result:
            for index, block in run:
                assert isinstance(block, wire.ToolResult)
                yield _result(block, f"{path}.content[{index}]")
        else:
            said = Content.of(
                _part(block, f"{path}.content[{index}]", "user") for index, block in run
            )
            yield Turn(role=Role.USER, text=said.text, images=said.images)
    if not numbered:
        yield Turn(role=Role.USER)


def _part(block: wire.Block, path: str, role: str) -> str | ImagePart:
    match block:
        case wire.Text(text=text):
            return text
        case wire.Document():
            return document(block, path)
        case wire.SearchResult():
            return search_result(block, path)
        case wire.ToolReference(tool_name=name):
            return name
        case wire.Image(source=source):
            return images.from_source(source, path)
        case _:
            raise _misplaced(block, path, role)


def _misplaced(block: wire.Block, path: str, role: str) -> InvalidRequest:
    kind = block.__struct_config__.tag
    return InvalidRequest(f"{path}: {role} messages have no block of type {kind!r}", field=path)


def _result(block: wire.ToolResult, path: str) -> Turn:
    given = block.content or ""
    if isinstance(given, str):
        content = Content(given)
    else:
        content = Content.of(
            _part(part, f"{path}.content[{index}]", "user") for index, part in enumerate(given)
        )
    if block.is_error:
        content = Content("Error: ") + content
    return Turn(role=Role.TOOL, text=content.text, images=content.images, call_id=block.tool_use_id)


def _assistant(blocks: Sequence[wire.Block], path: str) -> Turn:
    """Return one turn; text that only a call or a thought divides is set apart, all other text is joined as it is."""
    reasoning: list[str] = []
    calls: list[PastCall] = []
    paragraphs: list[str] = []
    for index, block in enumerate(blocks):
        match block:
            case wire.Text(text=text):
                follows = index > 0 and isinstance(blocks[index - 1], wire.Text)
                if follows:
                    paragraphs[-1] += text
                else:
                    paragraphs.append(text)
            case wire.Thinking(thinking=thinking):
                reasoning.append(thinking)
            case wire.ToolUse():
                arguments = json_text(block.input)
                calls.append(PastCall(id=block.id, name=block.name, arguments=arguments))
            case wire.RedactedThinking():
                pass  # nobody here can read it
            case _:
                raise _misplaced(block, f"{path}.content[{index}]", "assistant")
    return Turn(
        role=Role.ASSISTANT,
        text="\n\n".join(text for text in paragraphs if text),
        reasoning="\n\n".join(text for text in reasoning if text) or None,
        calls=tuple(calls),
    )


def _merge_assistants(found: Iterator[Turn]) -> list[Turn]:
    """Make one turn of assistant turns that follow each other."""
    merged: list[Turn] = []
    for turn in found:
        last = merged[-1] if merged else None
        if last is None or not last.role is turn.role is Role.ASSISTANT:
            merged.append(turn)
            continue
        thoughts = [text for text in (last.reasoning, turn.reasoning) if text]
        merged[-1] = replace(
            last,
            text="\n\n".join(text for text in (last.text, turn.text) if text),
            reasoning="\n\n".join(thoughts) or None,
            calls=last.calls + turn.calls,
        )
    return merged


def tools(request: MessagesRequest, *, callable_here: bool) -> tuple[Tool, ...]:
    """Translate the tools the model may call now: none where `tool_choice` says so."""
    specs = tuple(_tool(spec, f"tools[{index}]") for index, spec in enumerate(request.tools or ()))
    choice = request.tool_choice
    if (choice is not None and choice.type == "none") or not specs:
        return ()
    if not callable_here:
        raise UnsupportedField("tools", "the model's chat template has no tool calls mlxd can read")
    return specs


def _tool(spec: ToolSpec, path: str) -> Tool:
    if spec.type not in (None, "custom"):
        field = f"{path}.type"
        raise UnsupportedField(
            field, f"{spec.type[:64]!r} is a hosted tool, which no local model can use"
        )
    if not spec.name or spec.input_schema is None:
        field = f"{path}.input_schema" if spec.name else f"{path}.name"
        raise InvalidRequest(f"{field}: required and missing", field=field)
    return Tool(
        name=spec.name,
        description=spec.description,
        parameters=spec.input_schema,
        strict=bool(spec.strict),
        field=f"{path}.input_schema",
    )


def must_call(request: MessagesRequest, offered: Sequence[Tool]) -> MustCall | None:
    """Return what `tool_choice` demands; raises InvalidRequest where no tool can satisfy it."""
    choice = request.tool_choice
    if choice is None or choice.type not in ("any", "tool"):
        return None
    if not offered:
        raise InvalidRequest(
            f"tool_choice: {choice.type} needs tools, and none were given", field="tool_choice"
        )
    if choice.type == "any":
        return MustCall()
    if choice.name not in {tool.name for tool in offered}:
        field = "tool_choice.name"
        raise InvalidRequest(f"{field}: expected the name of one of the tools", field=field)
    return MustCall(name=choice.name)
