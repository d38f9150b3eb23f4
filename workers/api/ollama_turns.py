"""Translate the messages and tools of Ollama's chat into turns and tools."""

from collections.abc import Sequence

from mlxd.protocol import ollama_chat as wire
from mlxd.protocol.errors import InvalidRequest, UnsupportedField
from mlxd.workers.api import images, openai_tools
from mlxd.workers.chat.content import Content
from mlxd.workers.chat.request import PastCall, Role, Tool, Turn
from mlxd.workers.chat.tools import json_text


def turns(messages: Sequence[wire.Message]) -> tuple[Turn, ...]:
    """Translate the messages; raises CallerError naming the part this model cannot take."""
    waiting = _Waiting()
    return tuple(
        _turn(message, f"messages[{index}]", waiting) for index, message in enumerate(messages)
    )


def tools(given: Sequence[wire.Tool] | None, *, callable_here: bool) -> tuple[Tool, ...]:
    """Translate the tools the model may call."""
    specs = tuple(
        openai_tools.function(spec, f"tools[{index}]") for index, spec in enumerate(given or ())
    )
    if specs and not callable_here:
        raise UnsupportedField("tools", "the model's chat template has no tool calls mlxd can read")
    return specs


def shown(pictures: Sequence[str] | None, path: str, text: str) -> Content:
    """Return a message's pictures and its text: clients of Ollama mean them to stand before it."""
    parts = (images.from_base64(item, f"{path}[{at}]") for at, item in enumerate(pictures or ()))
    return Content.of((*parts, text))


class _Waiting:
    """Know the calls that no result has answered yet: clients of Ollama name them by their function, or not at all."""

    def __init__(self) -> None:
        self._calls: list[PastCall] = []
        self._count = 0

    def call(self, call: wire.PastCall) -> PastCall:
        """Return a call as the model wrote it; one without an id gets that of its place in the conversation."""
        self._count += 1
        arguments = call.function.arguments
        if not isinstance(arguments, str):
            arguments = json_text(arguments or {})
        made = PastCall(
            id=call.id or f"call_{self._count}", name=call.function.name, arguments=arguments
        )
        self._calls.append(made)
        return made

    def answered(self, message: wire.Message) -> str | None:
        """Return the id of the call a result belongs to, None where it belongs to none."""
        if message.tool_call_id:
            self._calls = [call for call in self._calls if call.id != message.tool_call_id]
            return message.tool_call_id
        named = [call for call in self._calls if message.tool_name in (None, "", call.name)]
        if not named:
            return None
        self._calls.remove(named[0])
        return named[0].id


def _turn(message: wire.Message, path: str, waiting: _Waiting) -> Turn:
    role = Role.SYSTEM if message.role == "developer" else Role(message.role)
    content = shown(message.images, f"{path}.images", message.content or "")
    if message.tool_calls and role is not Role.ASSISTANT:
        field = f"{path}.tool_calls"
        raise InvalidRequest(
            f"{field}: only assistant messages have calls, not {message.role}", field=field
        )
    return Turn(
        role=role,
        text=content.text,
        images=content.images,
        name=message.tool_name if role is Role.TOOL else None,
        reasoning=message.thinking if role is Role.ASSISTANT else None,
        calls=tuple(waiting.call(call) for call in message.tool_calls or ()),
        call_id=waiting.answered(message) if role is Role.TOOL else None,
    )
