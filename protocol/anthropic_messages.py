"""Describe Anthropic's Messages on the wire: the body of a request, for an answer or only for its count of tokens."""

from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec

from mlxd.protocol import request_body
from mlxd.protocol.anthropic_content import Block, Text
from mlxd.protocol.errors import InvalidRequest

MAX_STOPS = 64

IGNORED = frozenset(
    {
        "anthropic_beta", "anthropic_version", "betas", "cache_control", "context_management", "diagnostics",
        "inference_geo", "keep_alive", "metadata", "service_tier", "speed", "user_profile_id",
    }
)  # fmt: skip
"""Fields that are known and change nothing here; names nobody knows are ignored too.

`context_management` drops from a long conversation what a hosted model need not see; here it is read as it was sent.
"""

REFUSED: Mapping[str, tuple[object, ...]] = {
    "container": (),
    "mcp_servers": ([],),
}
"""Fields that are known and not implemented, with the values besides null that ask for nothing."""


class Message(msgspec.Struct, frozen=True):
    """Hold one message; "system" may stand anywhere in a conversation."""

    role: Literal["user", "assistant", "system"]
    content: str | list[Block]


class Tool(msgspec.Struct, frozen=True):
    """Describe a tool; any type but "custom" names one that a hosted service runs or knows by heart."""

    name: str | None = None
    type: str | None = None
    description: str | None = None
    input_schema: dict[str, object] | None = None
    strict: bool | None = None


class ToolChoice(msgspec.Struct, frozen=True):
    """Say whether, and which, tool is to be called."""

    type: Literal["auto", "any", "tool", "none"]
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


class ThinkingConfig(msgspec.Struct, frozen=True):
    """Say whether the model shall reason first, for how many tokens, and whether its reasoning is shown."""

    type: Literal["enabled", "disabled", "adaptive", "between_tools"]
    budget_tokens: Annotated[int, msgspec.Meta(ge=1)] | None = None
    display: Literal["summarized", "omitted"] | None = None


class JsonOutput(msgspec.Struct, frozen=True):
    """Ask for text that is JSON and validates."""

    type: Literal["json_schema"]
    schema: dict[str, object] | bool


class OutputConfig(msgspec.Struct, frozen=True):
    """Say how much effort to make, and in what form to answer."""

    effort: Literal["low", "medium", "high", "xhigh", "max"] | None = None
    format: JsonOutput | None = None


class Metadata(msgspec.Struct, frozen=True):
    """Say who asks; checked for its shape and for nothing else."""

    user_id: str | None = None


class MessagesRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Hold a body of `POST /v1/messages`, or of `/v1/messages/count_tokens`; null is "not given"."""

    model: str
    messages: list[Message]
    max_tokens: Annotated[int, msgspec.Meta(ge=0)] | None = None
    """Required where an answer is wanted; 0 reads the prompt into the cache and answers nothing."""
    system: str | list[Text] | None = None
    tools: list[Tool] | None = None
    tool_choice: ToolChoice | None = None
    thinking: ThinkingConfig | None = None
    output_config: OutputConfig | None = None
    output_format: JsonOutput | None = None
    """The older name of `output_config.format`."""
    stop_sequences: list[str] | None = None
    stream: bool | None = None
    temperature: Annotated[float, msgspec.Meta(ge=0, le=100)] | None = None
    top_p: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None
    top_k: Annotated[int, msgspec.Meta(ge=0)] | None = None
    metadata: Metadata | None = None
    service_tier: str | None = None


_decoder = msgspec.json.Decoder(MessagesRequest)
_refused = request_body.Refused(REFUSED)


def decode(body: bytes) -> MessagesRequest:
    """Read a body of either route; raises InvalidRequest or UnsupportedField naming the field at fault."""
    request = request_body.decode(body, _decoder, _refused)
    if not request.messages:
        raise InvalidRequest("messages: expected at least one message", field="messages")
    thinking = request.thinking
    if thinking is not None and thinking.type == "enabled" and thinking.budget_tokens is None:
        field = "thinking.budget_tokens"
        raise InvalidRequest(f"{field}: required where thinking is enabled", field=field)
    return request


def max_tokens(request: MessagesRequest) -> int:
    """Return how long the answer may be; raises InvalidRequest where the body does not say."""
    if request.max_tokens is None:
        raise InvalidRequest("max_tokens: required and missing", field="max_tokens")
    return request.max_tokens


def stops(request: MessagesRequest) -> tuple[str, ...]:
    """Return the stop strings; empty ones ask for nothing."""
    given = request.stop_sequences or []
    if len(given) > MAX_STOPS:
        raise InvalidRequest(
            f"stop_sequences: expected at most {MAX_STOPS} strings, got {len(given)}",
            field="stop_sequences",
        )
    return tuple(dict.fromkeys(stop for stop in given if stop))
