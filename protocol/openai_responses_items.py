"""Describe the items of a Responses input on the wire: messages, calls and their outputs, reasoning."""

from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from typing import Annotated, Any, TypeVar

import msgspec

from mlxd.protocol.errors import InvalidRequest
from mlxd.protocol.request_body import named

S = TypeVar("S", bound=msgspec.Struct)
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]


class InputAudio(msgspec.Struct, frozen=True):
    """Hold a sound's file in base64; what it is, its first bytes tell."""

    data: str
    format: str | None = None


class Part(msgspec.Struct, frozen=True):
    """Hold one part of an item's content; what `type` asks for is checked where it is used."""

    type: str
    text: str | None = None
    refusal: str | None = None
    image_url: str | None = None
    input_audio: InputAudio | None = None
    file_id: str | None = None
    detail: str | None = None
    max_pixels: int | None = None


class MessageItem(msgspec.Struct, frozen=True):
    """Hold a message of any role, in its short or its full form."""

    role: str
    content: str | list[Part] | None = None


class ReasoningItem(msgspec.Struct, frozen=True):
    """Hold reasoning of an earlier answer."""

    content: list[Part] | None = None
    summary: list[Part] | None = None
    encrypted_content: str | None = None


class FunctionCallItem(msgspec.Struct, frozen=True):
    """Hold a call the model made earlier."""

    call_id: str
    name: Name
    arguments: str | dict[str, object] | None = None
    namespace: str | None = None


class CustomCallItem(msgspec.Struct, frozen=True):
    """Hold a call of a custom tool the model made earlier."""

    call_id: str
    name: Name
    input: str
    namespace: str | None = None


class ClientCallItem(msgspec.Struct, frozen=True):
    """Hold a call of a tool that comes with the client: its shell, its patches, its search for tools."""

    id: str | None = None
    call_id: str | None = None
    action: dict[str, object] | None = None
    arguments: str | dict[str, object] | None = None
    operation: dict[str, object] | None = None


class CallOutputItem(msgspec.Struct, frozen=True):
    """Hold what a call came to: text, parts, or whatever object the tool's kind has."""

    id: str | None = None
    call_id: str | None = None
    output: object = None
    status: str | None = None
    tools: list[dict[str, object]] | None = None


class ServerCallItem(msgspec.Struct, frozen=True):
    """Hold a call of a remote server's tool with its output."""

    id: str
    name: Name
    arguments: str | None = None
    output: str | None = None
    error: object = None


class ToolsItem(msgspec.Struct, frozen=True):
    """Hold tools that became known on the way."""

    tools: list[dict[str, object]] | None = None


def read(value: object, kind: type[S], path: str) -> S:
    """Return a decoded value as a struct; raises InvalidRequest naming the field below `path` at fault."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        found = named(error)
        field = f"{path}.{found.field}" if found.field else path
        reason = found.message.removeprefix(f"{found.field}: ")
        raise InvalidRequest(f"{field}: {reason}", field=field) from None


def type_of(item: dict[str, Any], path: str) -> str:
    """Return the type of an item; one that names a role and no type is a message."""
    kind = item.get("type")
    if kind is None and "role" in item:
        return "message"
    if not isinstance(kind, str):
        raise InvalidRequest(f"{path}.type: required and missing", field=f"{path}.type")
    return kind


_SEAL = "mlxd1."


def seal(reasoning: str) -> str:
    """Return reasoning as `encrypted_content`: clients such as Codex send that back, and nothing else of it.

    It is not secret: it goes to no one but the client that may read the reasoning anyway.
    """
    return _SEAL + b64encode(reasoning.encode()).decode()


def unseal(content: str | None) -> str | None:
    """Return what `seal` was given; None where another server wrote it."""
    if content is None or not content.startswith(_SEAL):
        return None
    try:
        return b64decode(content.removeprefix(_SEAL), validate=True).decode()
    except (Base64Error, UnicodeDecodeError):
        return None
