"""Translate the tools of Chat Completions, and which of them may or must be called."""

from collections.abc import Sequence
from typing import TypeVar

import msgspec

from mlxd.protocol.errors import InvalidRequest, UnsupportedField
from mlxd.protocol.openai_chat import ChatCompletionRequest, ToolSpec
from mlxd.workers.chat.request import MustCall, Tool

_CHOICE = "tool_choice"
T = TypeVar("T")


class _Function(msgspec.Struct):
    name: str


class _Named(msgspec.Struct):
    function: _Function


class _Entry(msgspec.Struct):
    function: _Function
    type: str = "function"


class _Allowed(msgspec.Struct):
    mode: str
    tools: list[_Entry]


class _AllowedTools(msgspec.Struct):
    allowed_tools: _Allowed


def tools(request: ChatCompletionRequest, *, callable_here: bool) -> tuple[Tool, ...]:
    """Translate the tools the model may call now: none where `tool_choice` says so."""
    specs = tuple(
        function(spec, f"tools[{index}]") for index, spec in enumerate(request.tools or ())
    )
    choice = request.tool_choice
    if choice == "none" or not specs:
        return ()
    if not callable_here:
        raise UnsupportedField("tools", "the model's chat template has no tool calls mlxd can read")
    if isinstance(choice, dict) and choice.get("type") == "allowed_tools":
        return _only(specs, _read(choice, _AllowedTools).allowed_tools)
    return specs


def must_call(request: ChatCompletionRequest) -> MustCall | None:
    """Return what `tool_choice` demands; an answer that is a forced call ends with the reason `tool_calls`."""
    choice = request.tool_choice
    if choice in (None, "auto", "none"):
        return None
    if choice == "required":
        return MustCall(field=_CHOICE)
    kind = choice.get("type") if isinstance(choice, dict) else None
    if not isinstance(choice, dict) or not isinstance(kind, str):
        expected = "auto, none, required, a function or allowed_tools"
        raise InvalidRequest(f"{_CHOICE}: expected {expected}", field=_CHOICE)
    match kind:
        case "function":
            return MustCall(name=_read(choice, _Named).function.name, field=_CHOICE)
        case "allowed_tools":
            mode = _read(choice, _AllowedTools).allowed_tools.mode
            if mode not in ("auto", "required"):
                field = f"{_CHOICE}.allowed_tools.mode"
                raise InvalidRequest(f"{field}: expected auto or required", field=field)
            return MustCall(field=_CHOICE) if mode == "required" else None
    raise UnsupportedField(_CHOICE, f"only functions can be called, not {kind[:32]!r}")


def _read(choice: dict[str, object], kind: type[T]) -> T:
    try:
        return msgspec.convert(choice, kind)
    except msgspec.ValidationError as error:
        raise InvalidRequest(f"{_CHOICE}: {error}", field=_CHOICE) from None


def _only(specs: Sequence[Tool], allowed: _Allowed) -> tuple[Tool, ...]:
    names = {entry.function.name for entry in allowed.tools}
    unknown = sorted(names - {tool.name for tool in specs})
    if unknown:
        field = f"{_CHOICE}.allowed_tools.tools"
        raise InvalidRequest(f"{field}: no tool is named {unknown[0][:64]!r}", field=field)
    return tuple(tool for tool in specs if tool.name in names)


def function(spec: ToolSpec, path: str) -> Tool:
    """Translate one tool; raises CallerError naming the part at fault."""
    if spec.type != "function":
        field = f"{path}.type"
        raise UnsupportedField(field, f"only functions can be called, not {spec.type[:32]!r}")
    if spec.function is None:
        field = f"{path}.function"
        raise InvalidRequest(f"{field}: required and missing", field=field)
    called = spec.function
    return Tool(
        name=called.name,
        description=called.description,
        parameters=called.parameters,
        strict=bool(called.strict),
        field=f"{path}.function.parameters",
    )
