"""Translate the messages of Chat Completions into turns."""

from collections.abc import Sequence

from mlxd.protocol.errors import InvalidRequest, UnsupportedField
from mlxd.protocol.openai_chat import (
    ContentPart,
    Message,
    MessageToolCall,
)
from mlxd.workers.api import films, images, sounds
from mlxd.workers.chat.content import Content, FilmPart, ImagePart, MediaPart, SoundPart
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
    content = _content(message.content, f"{path}.content")
    return Turn(
        role=role,
        text=content.text or message.refusal or "",
        images=content.images,
        name=message.name,
        reasoning=message.reasoning_content or message.reasoning,
        calls=tuple(
            _call(call, f"{path}.tool_calls[{index}]")
            for index, call in enumerate(message.tool_calls or ())
        ),
        call_id=message.tool_call_id if role is Role.TOOL else None,
    )


def _content(content: str | list[ContentPart] | None, path: str) -> Content:
    if content is None or isinstance(content, str):
        return Content(content or "")
    return Content.of(_part(part, f"{path}[{index}]") for index, part in enumerate(content))


def _part(part: ContentPart, path: str) -> str | MediaPart:
    if part.type not in _PARTS:
        field = f"{path}.type"
        raise InvalidRequest(f"{field}: unknown kind of content {part.type[:32]!r}", field=field)
    if part.type == "image_url":
        return _image(part, f"{path}.image_url")
    if part.type == "video_url":
        return _film(part, f"{path}.video_url")
    if part.type in ("audio_url", "input_audio"):
        return _sound(part, f"{path}.{part.type}")
    if part.type not in ("text", "refusal"):
        raise UnsupportedField(path, f"no model here takes a part of type {part.type}")
    text = part.text if part.type == "text" else part.refusal
    if text is None:
        field = f"{path}.{part.type}"
        raise InvalidRequest(f"{field}: required and missing", field=field)
    return text


def _image(part: ContentPart, field: str) -> ImagePart:
    named = part.image_url
    if named is None or isinstance(named, str):
        return images.from_url(named, field, max_pixels=part.max_pixels)
    return images.from_url(
        named.url,
        f"{field}.url",
        detail=named.detail,
        max_pixels=part.max_pixels if named.max_pixels is None else named.max_pixels,
    )


def _film(part: ContentPart, field: str) -> FilmPart:
    named = part.video_url
    if named is None or isinstance(named, str):
        return films.from_url(named, field, fps=part.fps, max_pixels=part.max_pixels)
    return films.from_url(
        named.url,
        f"{field}.url",
        fps=part.fps if named.fps is None else named.fps,
        max_pixels=part.max_pixels if named.max_pixels is None else named.max_pixels,
    )


def _sound(part: ContentPart, field: str) -> SoundPart:
    if part.type == "input_audio":
        return sounds.from_part(part.input_audio, field)
    named = part.audio_url
    if named is None or isinstance(named, str):
        return sounds.from_url(named, field)
    return sounds.from_url(named.url, f"{field}.url")


def _call(call: MessageToolCall, path: str) -> PastCall:
    if call.type != "function":
        raise UnsupportedField(
            f"{path}.type", f"only functions can be called, not {call.type[:32]!r}"
        )
    arguments = call.function.arguments
    if not isinstance(arguments, str):
        arguments = json_text(arguments or {})
    return PastCall(id=call.id, name=call.function.name, arguments=arguments)
