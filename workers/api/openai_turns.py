"""Translate the messages of Chat Completions into turns."""

from collections.abc import Sequence

from mlxd.protocol.errors import InvalidRequest, UnsupportedField
from mlxd.protocol.openai_chat import (
    ContentPart,
    Message,
    MessageToolCall,
)
from mlxd.workers.chat.request import PastCall, Role, Turn
from mlxd.workers.chat.tools import json_text

_PARTS = {"text", "image_url", "input_audio", "file", "refusal", "video_url", "audio_url"}


def turns(messages: Sequence[Message]) -> tuple[Turn, ...]:
    """Translate the messages; raises CallerError naming the part this model cannot take."""
    return tuple(_turn(message, f"messages[{index}]") for index, message in enumerate(messages))


def _turn(message: Message, path: str) -> Turn:
    role = Role.SYSTEM if message.role == "developer" else Role(message.role)
    if message.tool_calls and role is not Role.ASSISTANT:
        field = f"{path}.tool_calls"
        raise InvalidRequest(
            f"{field}: only assistant messages have calls, not {message.role}", field=field
        )
    if message.content is None and role is not Role.ASSISTANT:
        field = f"{path}.content"
        raise InvalidRequest(f"{field}: required for the role {message.role}", field=field)
    return Turn(
        role=role,
        text=_text(message.content, f"{path}.content") or message.refusal or "",
        name=message.name,
        reasoning=message.reasoning_content or message.reasoning,
        calls=tuple(
            _call(call, f"{path}.tool_calls[{index}]")
            for index, call in enumerate(message.tool_calls or ())
        ),
        call_id=message.tool_call_id if role is Role.TOOL else None,
    )


def _text(content: str | list[ContentPart] | None, path: str) -> str:
    if content is None or isinstance(content, str):
        return content or ""
    return "\n".join(_part(part, f"{path}[{index}]") for index, part in enumerate(content))


def _part(part: ContentPart, path: str) -> str:
    if part.type not in _PARTS:
        field = f"{path}.type"
        raise InvalidRequest(f"{field}: unknown kind of content {part.type[:32]!r}", field=field)
    if part.type not in ("text", "refusal"):
        raise UnsupportedField(path, f"this model takes text, not {part.type}")
    text = part.text if part.type == "text" else part.refusal
    if text is None:
        field = f"{path}.{part.type}"
        raise InvalidRequest(f"{field}: required and missing", field=field)
    return text


def _call(call: MessageToolCall, path: str) -> PastCall:
    if call.type != "function":
        raise UnsupportedField(
            f"{path}.type", f"only functions can be called, not {call.type[:32]!r}"
        )
    arguments = call.function.arguments
    if not isinstance(arguments, str):
        arguments = json_text(arguments or {})
    return PastCall(id=call.id, name=call.function.name, arguments=arguments)
