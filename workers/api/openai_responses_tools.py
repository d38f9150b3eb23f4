"""Turn the tools of a Responses request into functions the model may call, and its calls back into their kinds.

To a model every tool is a function. A custom tool is one with a single string; a namespace's tools carry its name
before their own, for the client tells them apart by both.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto

import msgspec

from mlxd.protocol.errors import InvalidRequest, UnsupportedField
from mlxd.protocol.openai_responses_items import Name, read
from mlxd.workers.chat.request import MustCall, Tool

_DROPPED = frozenset({"image_generation", "web_search"})
"""Tools that run at OpenAI and that Codex always sends: accepted, and never offered to the model."""

CUSTOM_INPUT = "input"
LOCAL_SHELL = "local_shell"
TOOL_SEARCH = "tool_search"
_CUSTOM_PARAMETERS: dict[str, object] = {
    "type": "object",
    "properties": {CUSTOM_INPUT: {"type": "string", "description": "The whole input, as it is."}},
    "required": [CUSTOM_INPUT],
    "additionalProperties": False,
}
_SHELL_PARAMETERS: dict[str, object] = {
    "type": "object",
    "properties": {
        "command": {"type": "array", "items": {"type": "string"}},
        "working_directory": {"type": "string"},
        "timeout_ms": {"type": "integer"},
    },
    "required": ["command"],
}


class CallKind(Enum):
    """What a call is to the client."""

    FUNCTION = auto()
    CUSTOM = auto()
    TOOL_SEARCH = auto()
    LOCAL_SHELL = auto()


@dataclass(frozen=True, slots=True)
class Callee:
    """Say what the client calls the tool that a model has called."""

    kind: CallKind
    name: str
    namespace: str | None = None


@dataclass(frozen=True, slots=True)
class Toolbox:
    """Hold what the model may call, and what its calls mean."""

    tools: tuple[Tool, ...] = ()
    callees: dict[str, Callee] = field(default_factory=dict)
    """Callee per name that the model knows."""

    def callee(self, name: str) -> Callee:
        """Return what a call of `name` is; small models forget the namespace where only one tool has the name."""
        found = self.callees.get(name)
        if found is not None:
            return found
        bare = [callee for callee in self.callees.values() if callee.name == name]
        return bare[0] if len(bare) == 1 else Callee(CallKind.FUNCTION, name)


class _Function(msgspec.Struct, frozen=True):
    name: Name
    description: str | None = None
    parameters: dict[str, object] | None = None
    strict: bool | None = None


class _Format(msgspec.Struct, frozen=True):
    type: str
    syntax: str | None = None
    definition: str | None = None


class _Custom(msgspec.Struct, frozen=True):
    name: Name
    description: str | None = None
    format: _Format | None = None


class _Namespace(msgspec.Struct, frozen=True):
    name: Name
    tools: list[dict[str, object]]


class _Search(msgspec.Struct, frozen=True):
    execution: str | None = None
    description: str | None = None
    parameters: dict[str, object] | None = None


class _Allowed(msgspec.Struct, frozen=True):
    tools: list[dict[str, object]]
    mode: str = "auto"


def known_as(name: str, namespace: str | None) -> str:
    """Return the name by which the model knows a tool; the same in every turn, so that prompts stay what they were."""
    if not namespace or namespace == "functions":
        return name
    return f"{namespace}{name}" if namespace.endswith("__") else f"{namespace}__{name}"


def toolbox(specs: Sequence[tuple[str, dict[str, object]]]) -> Toolbox:
    """Return the tools of (path, specification) pairs; raises CallerError naming the one that cannot be offered."""
    tools: dict[str, Tool] = {}
    callees: dict[str, Callee] = {}
    for path, spec in specs:
        for tool, callee in _offered(spec, path):
            tools.setdefault(tool.name, tool)
            callees.setdefault(tool.name, callee)
    return Toolbox(tuple(tools.values()), callees)


def _offered(
    spec: dict[str, object], path: str, namespace: str | None = None
) -> Iterator[tuple[Tool, Callee]]:
    match spec.get("type"):
        case "function":
            yield _function(read(spec, _Function, path), path, namespace)
        case "custom":
            yield _custom(read(spec, _Custom, path), namespace)
        case "namespace" if namespace is None:
            group = read(spec, _Namespace, path)
            for index, inner in enumerate(group.tools):
                yield from _offered(inner, f"{path}.tools[{index}]", group.name)
        case "tool_search":
            search = read(spec, _Search, path)
            if search.execution not in (None, "server"):
                tool = Tool(
                    name=TOOL_SEARCH, description=search.description, parameters=search.parameters
                )
                yield tool, Callee(CallKind.TOOL_SEARCH, TOOL_SEARCH)
        case "local_shell":
            described = "Run a command on the user's machine."
            tool = Tool(name=LOCAL_SHELL, description=described, parameters=_SHELL_PARAMETERS)
            yield tool, Callee(CallKind.LOCAL_SHELL, LOCAL_SHELL)
        case str(kind) if kind in _DROPPED:
            return
        case kind:
            raise _unknown(kind, f"{path}.type")


def _unknown(kind: object, path: str) -> Exception:
    if not isinstance(kind, str):
        return InvalidRequest(f"{path}: required and missing", field=path)
    return UnsupportedField(path, f"no tool of type {kind[:64]!r} runs here")


def _function(spec: _Function, path: str, namespace: str | None) -> tuple[Tool, Callee]:
    tool = Tool(
        name=known_as(spec.name, namespace),
        description=spec.description,
        parameters=spec.parameters,
        strict=spec.strict is True,
        field=f"{path}.parameters",
    )
    return tool, Callee(CallKind.FUNCTION, spec.name, namespace)


def _custom(spec: _Custom, namespace: str | None) -> tuple[Tool, Callee]:
    """Offer a custom tool; the model is shown the grammar of its input and is not held to it."""
    description = spec.description or ""
    if spec.format is not None and spec.format.definition:
        notation = f"{spec.format.syntax or ''} grammar".strip()
        description += f"\n\nThe input follows this {notation}:\n{spec.format.definition}"
    tool = Tool(
        name=known_as(spec.name, namespace),
        description=description.strip(),
        parameters=_CUSTOM_PARAMETERS,
    )
    return tool, Callee(CallKind.CUSTOM, spec.name, namespace)


def chosen(
    offered: Toolbox, choice: str | dict[str, object] | None
) -> tuple[tuple[Tool, ...], MustCall | None]:
    """Return what the model may call now and whether it must; raises CallerError for a choice that cannot be met."""
    match choice:
        case None | "auto":
            return offered.tools, None
        case "none":
            return (), None
        case "required":
            return _required(offered.tools)
    kind = choice.get("type") if isinstance(choice, dict) else None
    if not isinstance(choice, dict) or not isinstance(kind, str):
        expected = "auto, none, required, a function, a custom tool or allowed_tools"
        raise InvalidRequest(f"tool_choice: expected {expected}", field="tool_choice")
    if kind == "allowed_tools":
        return _allowed(choice, offered)
    if kind not in ("function", "custom"):
        raise UnsupportedField("tool_choice", f"no tool of type {kind[:64]!r} runs here")
    return offered.tools, MustCall(name=_find(choice, offered, "tool_choice"))


def _required(tools: tuple[Tool, ...]) -> tuple[tuple[Tool, ...], MustCall]:
    if not tools:
        raise InvalidRequest("tool_choice: there is no tool to call", field="tool_choice")
    return tools, MustCall()


def _allowed(
    choice: dict[str, object], offered: Toolbox
) -> tuple[tuple[Tool, ...], MustCall | None]:
    given = read(choice, _Allowed, "tool_choice")
    if given.mode not in ("auto", "required"):
        raise InvalidRequest(
            "tool_choice.mode: expected auto or required", field="tool_choice.mode"
        )
    names = {
        _find(entry, offered, f"tool_choice.tools[{index}]")
        for index, entry in enumerate(given.tools)
        if str(entry.get("type")) not in _DROPPED
    }
    tools = tuple(tool for tool in offered.tools if tool.name in names)
    return _required(tools) if given.mode == "required" else (tools, None)


def _find(choice: dict[str, object], offered: Toolbox, path: str) -> str:
    """Return the name by which the model knows the tool that a choice names."""
    name, namespace = choice.get("name"), choice.get("namespace")
    for known, callee in offered.callees.items():
        if name in (callee.name, known) and namespace in (None, callee.namespace):
            return known
    shown = name[:64] if isinstance(name, str) else name
    raise InvalidRequest(f"{path}.name: no tool is named {shown!r}", field=f"{path}.name")
