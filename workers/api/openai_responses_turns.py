"""Translate the items of a Responses input into turns.

Items are finer than turns: reasoning, a message and calls that follow each other are one turn of the assistant's.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from mlxd.protocol import openai_responses_items as wire
from mlxd.protocol.errors import InvalidRequest, UnsupportedField
from mlxd.workers.api import images, sounds
from mlxd.workers.api.openai_responses_tools import (
    CUSTOM_INPUT,
    LOCAL_SHELL,
    TOOL_SEARCH,
    known_as,
)
from mlxd.workers.chat.content import Content, MediaPart
from mlxd.workers.chat.request import PastCall, Role, Turn
from mlxd.workers.chat.tools import json_text

ROLES = ("user", "assistant", "system", "developer")
_TEXTS = frozenset({"input_text", "output_text", "text", "reasoning_text", "summary_text"})
_IMAGE = "input_image"
_SOUND = "input_audio"
_OTHERS = frozenset({"input_file", "computer_screenshot"})

Item = dict[str, Any]


@dataclass(slots=True)
class Transcript:
    """Gather turns, and tools that became known on the way."""

    turns: list[Turn] = field(default_factory=list)
    tools: list[tuple[str, dict[str, object]]] = field(default_factory=list)
    _texts: list[str] = field(default_factory=list)
    _reasonings: list[str] = field(default_factory=list)
    _calls: list[PastCall] = field(default_factory=list)

    def say(self, role: Role, said: Content) -> None:
        """Add a message; one of the assistant's begins a new turn unless calls of the last are still open."""
        text = said.text
        if role is not Role.ASSISTANT:
            self.close()
            self.turns.append(Turn(role=role, text=text, images=said.images))
            return
        if self._texts and not self._calls:
            self.close()
        self._texts.append(text)

    def reason(self, text: str) -> None:
        """Add reasoning; it belongs to what follows."""
        if self._texts and not self._calls:
            self.close()
        self._reasonings.append(text)

    def call(self, call_id: str | None, name: str, arguments: str) -> None:
        """Add a call."""
        self._calls.append(PastCall(id=call_id, name=name, arguments=arguments))

    def result(self, call_id: str | None, came_to: Content) -> None:
        """Add what a call came to."""
        self.close()
        self.turns.append(
            Turn(role=Role.TOOL, text=came_to.text, images=came_to.images, call_id=call_id)
        )

    def close(self) -> None:
        """End the assistant's turn, if one has begun."""
        if self._texts or self._reasonings or self._calls:
            self.turns.append(
                Turn(
                    role=Role.ASSISTANT,
                    text="\n".join(self._texts),
                    reasoning="\n".join(self._reasonings) or None,
                    calls=tuple(self._calls),
                )
            )
        self._texts, self._reasonings, self._calls = [], [], []


def transcript(value: msgspec.Raw, instructions: str | None) -> Transcript:
    """Translate an input; raises CallerError naming the item this model cannot take.

    Codex sends empty inputs to see whether somebody answers: those become an empty question.
    """
    found = Transcript()
    if instructions:
        found.say(Role.SYSTEM, Content(instructions))
    given = _decoded(value)
    if isinstance(given, str):
        found.say(Role.USER, Content(given))
    for index, item in enumerate(given if isinstance(given, list) else ()):
        _add(found, item, f"input[{index}]")
    found.close()
    if not found.turns:
        found.say(Role.USER, Content())
    return found


def _decoded(value: msgspec.Raw) -> str | list[Item] | None:
    try:
        return msgspec.json.decode(bytes(value) or b"null", type=str | list[Item] | None)
    except msgspec.ValidationError:
        expected = "expected a string or a list of items"
        raise InvalidRequest(f"input: {expected}", field="input") from None
    except RecursionError:
        raise InvalidRequest("input: nested too deeply", field="input") from None
    except msgspec.DecodeError as error:  # half a surrogate pair, which is looked for only here
        raise InvalidRequest(f"input: not valid JSON: {error}", field="input") from None


def _add(found: Transcript, item: Item, path: str) -> None:
    kind = wire.type_of(item, path)
    adder = _ADDERS.get(kind)
    if adder is not None:
        adder(found, item, path)
    elif kind in _UNREADABLE:
        raise UnsupportedField(f"{path}.type", f"{kind} cannot be read here")
    elif kind not in _PASSED_OVER:
        raise InvalidRequest(
            f"{path}.type: unknown kind of item {kind[:64]!r}", field=f"{path}.type"
        )


def _message(found: Transcript, item: Item, path: str) -> None:
    message = wire.read(item, wire.MessageItem, path)
    if message.role not in ROLES:
        expected = ", ".join(ROLES)
        raise InvalidRequest(
            f"{path}.role: expected one of {expected}, got {message.role[:32]!r}",
            field=f"{path}.role",
        )
    role = Role.SYSTEM if message.role == "developer" else Role(message.role)
    found.say(role, _content(message.content, f"{path}.content"))


def _content(content: str | Sequence[wire.Part] | None, path: str) -> Content:
    if content is None or isinstance(content, str):
        return Content(content or "")
    return Content.of(_part(part, f"{path}[{index}]") for index, part in enumerate(content))


def _text(content: str | Sequence[wire.Part] | None, path: str) -> str:
    found = _content(content, path)
    if found.images:
        raise UnsupportedField(path, "reasoning holds nothing but text")
    return found.text


def _part(part: wire.Part, path: str) -> str | MediaPart:
    if part.type == _IMAGE:
        if part.file_id is not None:
            raise UnsupportedField(f"{path}.file_id", "mlxd stores no files; send the image itself")
        field = f"{path}.image_url"
        return images.from_url(
            part.image_url, field, detail=part.detail, max_pixels=part.max_pixels
        )
    if part.type == _SOUND:
        return sounds.from_part(part.input_audio, f"{path}.{_SOUND}")
    if part.type in _OTHERS:
        raise UnsupportedField(path, f"no model here takes a part of type {part.type}")
    if part.type != "refusal" and part.type not in _TEXTS:
        raise InvalidRequest(
            f"{path}.type: unknown kind of content {part.type[:32]!r}", field=f"{path}.type"
        )
    text = part.refusal if part.type == "refusal" else part.text
    if text is None:
        name = "refusal" if part.type == "refusal" else "text"
        raise InvalidRequest(f"{path}.{name}: required and missing", field=f"{path}.{name}")
    return text


def _reasoning(found: Transcript, item: Item, path: str) -> None:
    reasoning = wire.read(item, wire.ReasoningItem, path)
    text = (
        _text(reasoning.content, f"{path}.content")
        or wire.unseal(reasoning.encrypted_content)
        or _text(reasoning.summary, f"{path}.summary")
    )
    if text:
        found.reason(text)


def _function_call(found: Transcript, item: Item, path: str) -> None:
    call = wire.read(item, wire.FunctionCallItem, path)
    found.call(call.call_id, known_as(call.name, call.namespace), _arguments(call.arguments))


def _arguments(given: str | dict[str, object] | None) -> str:
    return given if isinstance(given, str) else json_text(given or {})


def _custom_call(found: Transcript, item: Item, path: str) -> None:
    call = wire.read(item, wire.CustomCallItem, path)
    arguments = json_text({CUSTOM_INPUT: call.input})
    found.call(call.call_id, known_as(call.name, call.namespace), arguments)


def _client_call(name: str) -> "Callable[[Transcript, Item, str], None]":
    """Return what adds a call of a tool that has no name of its own."""

    def add(found: Transcript, item: Item, path: str) -> None:
        call = wire.read(item, wire.ClientCallItem, path)
        asked = call.action or call.operation or call.arguments or {}
        if isinstance(asked, dict):
            asked = json_text(
                {key: value for key, value in asked.items() if value and key != "type"}
            )
        found.call(call.call_id or call.id, name, asked)

    return add


def _output(found: Transcript, item: Item, path: str) -> None:
    result = wire.read(item, wire.CallOutputItem, path)
    for index, spec in enumerate(result.tools or ()):
        found.tools.append((f"{path}.tools[{index}]", spec))
    given = result.output
    if given is None:
        given = result.tools if result.tools is not None else result.status
    found.result(result.call_id or result.id, _output_content(given, f"{path}.output"))


def _output_content(given: object, path: str) -> Content:
    if given is None or isinstance(given, str):
        return Content(given or "")
    if isinstance(given, dict) and isinstance(given.get("content"), str):
        return Content(str(given["content"]))
    known = _TEXTS | _OTHERS | {_IMAGE, _SOUND}
    are_parts = isinstance(given, list) and all(
        isinstance(part, dict) and part.get("type") in known for part in given
    )
    if not are_parts:
        return Content(json_text(given))
    assert isinstance(given, list)
    parts = [wire.read(part, wire.Part, f"{path}[{at}]") for at, part in enumerate(given)]
    return _content(parts, path)


def _server_call(found: Transcript, item: Item, path: str) -> None:
    call = wire.read(item, wire.ServerCallItem, path)
    found.call(call.id, call.name, call.arguments or "{}")
    failure = "" if call.error is None else json_text(call.error)
    found.result(call.id, Content(call.output or failure))


def _more_tools(found: Transcript, item: Item, path: str) -> None:
    given = wire.read(item, wire.ToolsItem, path)
    for index, spec in enumerate(given.tools or ()):
        found.tools.append((f"{path}.tools[{index}]", spec))


_ADDERS: dict[str, Callable[[Transcript, Item, str], None]] = {
    "message": _message,
    "reasoning": _reasoning,
    "function_call": _function_call,
    "function_call_output": _output,
    "custom_tool_call": _custom_call,
    "custom_tool_call_output": _output,
    "tool_search_call": _client_call(TOOL_SEARCH),
    "tool_search_output": _output,
    "local_shell_call": _client_call(LOCAL_SHELL),
    "local_shell_call_output": _output,
    "shell_call": _client_call("shell"),
    "shell_call_output": _output,
    "apply_patch_call": _client_call("apply_patch"),
    "apply_patch_call_output": _output,
    "mcp_call": _server_call,
    "additional_tools": _more_tools,
}
_PASSED_OVER = frozenset(
    {
        "code_interpreter_call", "configuration_update", "file_search_call", "ghost_snapshot",
        "image_generation_call", "mcp_approval_request", "mcp_approval_response", "mcp_list_tools", "other",
        "program", "program_output", "web_search_call",
    }
)  # fmt: skip
"""What another server did on the way to answers that stand in the input themselves."""
_UNREADABLE = frozenset(
    {
        "compaction", "compaction_summary", "compaction_trigger", "computer_call", "computer_call_output",
        "item_reference",
    }
)  # fmt: skip
"""What carries the conversation in a form that only another server, or another kind of model, can read."""
