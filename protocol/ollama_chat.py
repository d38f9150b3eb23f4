"""Describe the bodies of Ollama's `/api/chat` and `/api/generate` on the wire."""

from collections.abc import Mapping
from typing import Literal

import msgspec

from mlxd.protocol import request_body
from mlxd.protocol.errors import InvalidRequest
from mlxd.protocol.ollama_fields import SharedFields
from mlxd.protocol.openai_chat import ToolSpec

REFUSED_OF_GENERATE: Mapping[str, tuple[object, ...]] = {
    "context": ([],),
    "height": (0,),
    "steps": (0,),
    "suffix": ("",),
    "template": ("",),
    "width": (0,),
}
"""Fields of `/api/generate` that are known and not implemented, with the values besides null that ask for nothing.

`template` is a setting of the model here, and `context` was given up for `/api/chat`: no answer carries one.
"""


class CalledFunction(msgspec.Struct, frozen=True):
    """Hold a call's function; its arguments may also be a string of JSON."""

    name: str
    arguments: dict[str, object] | str | None = None


class PastCall(msgspec.Struct, frozen=True):
    """Hold a call the assistant made earlier."""

    function: CalledFunction
    id: str | None = None


class Message(msgspec.Struct, frozen=True):
    """Hold one message; a tool's names the call it answers by `tool_call_id` or `tool_name`, or comes in its turn."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | None = None
    thinking: str | None = None
    images: list[str] | None = None
    tool_calls: list[PastCall] | None = None
    tool_name: str | None = None
    tool_call_id: str | None = None


class Tool(ToolSpec, frozen=True):
    """Describe a tool; what it does not say it is, is a function."""

    type: str = "function"


class ChatRequest(SharedFields, frozen=True, kw_only=True):
    """Hold a body of `POST /api/chat`; one without messages only loads the model."""

    messages: list[Message] | None = None
    tools: list[Tool] | None = None


class GenerateRequest(SharedFields, frozen=True, kw_only=True):
    """Hold a body of `POST /api/generate`; one without a prompt only loads the model."""

    prompt: str | None = None
    system: str | None = None
    raw: bool | None = None
    """The prompt is what the model reads, with no template around it."""
    images: list[str] | None = None


class _Head(msgspec.Struct):
    messages: list[msgspec.Raw] | None = None
    prompt: str | None = None


_head = msgspec.json.Decoder(_Head)
_chat = msgspec.json.Decoder(ChatRequest)
_generate = msgspec.json.Decoder(GenerateRequest)
_nothing = request_body.Refused({})
_refused = request_body.Refused(REFUSED_OF_GENERATE)


def decode_chat(body: bytes) -> ChatRequest:
    """Read a body of `/api/chat`; raises InvalidRequest or UnsupportedField naming the field at fault."""
    return request_body.decode(body, _chat, _nothing)


def decode_generate(body: bytes) -> GenerateRequest:
    """Read a body of `/api/generate`; raises InvalidRequest or UnsupportedField naming the field at fault."""
    request = request_body.decode(body, _generate, _refused)
    if request.raw and request.system:
        raise InvalidRequest("system: a raw prompt has no system message", field="system")
    return request


def asks_nothing(path: str, body: bytes) -> bool:
    """Say whether a body of either route wants the model and no answer; a body that is wrong wants one."""
    try:
        head = _head.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    return not (head.prompt if path.startswith("/api/generate") else head.messages)
