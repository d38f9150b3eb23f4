"""Describe a response on the wire: its items, its usage, the object around them."""

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from mlxd.protocol.errors import CallerError, ContextLengthExceeded, MlxdError
from mlxd.protocol.generation import NEUTRAL, Overflow, SamplingDefaults
from mlxd.protocol.openai_chat import TokenLogprob
from mlxd.protocol.openai_responses import ResponsesRequest


class InputTokensDetails(msgspec.Struct, frozen=True):
    """Say how many tokens of the input were not computed again."""

    cached_tokens: int
    cache_write_tokens: int = 0


class OutputTokensDetails(msgspec.Struct, frozen=True):
    """Say how many of the generated tokens were reasoning."""

    reasoning_tokens: int


class Usage(msgspec.Struct, frozen=True):
    """Count the tokens of a response."""

    input_tokens: int
    input_tokens_details: InputTokensDetails
    output_tokens: int
    output_tokens_details: OutputTokensDetails
    total_tokens: int


class OutputText(msgspec.Struct, frozen=True, tag_field="type", tag="output_text"):
    """Hold a part of a message."""

    text: str
    annotations: tuple[()] = ()
    logprobs: Sequence[TokenLogprob] = ()


class ReasoningText(msgspec.Struct, frozen=True, tag_field="type", tag="reasoning_text"):
    """Hold a part of the reasoning."""

    text: str


class Message(msgspec.Struct, frozen=True, tag_field="type", tag="message"):
    """Hold what the user is to read."""

    id: str
    status: str
    content: tuple[OutputText, ...]
    role: str = "assistant"


class Reasoning(msgspec.Struct, frozen=True, tag_field="type", tag="reasoning"):
    """Hold the reasoning before an answer; no summary is made of it."""

    id: str
    status: str
    content: tuple[ReasoningText, ...]
    summary: tuple[()] = ()
    encrypted_content: str | UnsetType = UNSET
    """The same text for a client that hands back nothing else."""


class FunctionCall(msgspec.Struct, frozen=True, tag_field="type", tag="function_call"):
    """Hold a call of a function; `arguments` is a string of JSON."""

    id: str
    call_id: str
    name: str
    arguments: str
    status: str
    namespace: str | UnsetType = UNSET


class CustomToolCall(msgspec.Struct, frozen=True, tag_field="type", tag="custom_tool_call"):
    """Hold a call of a custom tool, whose input is any text."""

    id: str
    call_id: str
    name: str
    input: str
    status: str
    namespace: str | UnsetType = UNSET


class ToolSearchCall(msgspec.Struct, frozen=True, tag_field="type", tag="tool_search_call"):
    """Ask the client to look for more tools."""

    id: str
    call_id: str
    arguments: object
    status: str
    execution: str = "client"


class LocalShellCall(msgspec.Struct, frozen=True, tag_field="type", tag="local_shell_call"):
    """Ask the client to run a command."""

    id: str
    call_id: str
    action: dict[str, object]
    status: str


OutputItem = Message | Reasoning | FunctionCall | CustomToolCall | ToolSearchCall | LocalShellCall


class ResponseError(msgspec.Struct, frozen=True):
    """Say why a response failed; `type` is our own code where OpenAI's `code` is less exact."""

    code: str
    message: str
    type: str
    param: str | None


class IncompleteDetails(msgspec.Struct, frozen=True):
    """Say why a response is not complete."""

    reason: str


class ConversationId(msgspec.Struct, frozen=True):
    """Name the conversation of a response."""

    id: str


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """Hold a response, finished or not, with what was asked for."""

    id: str
    object: str = "response"
    created_at: int
    status: str = "in_progress"
    background: bool
    completed_at: int | None = None
    conversation: ConversationId | None
    error: ResponseError | None = None
    incomplete_details: IncompleteDetails | None = None
    instructions: str | None
    max_output_tokens: int | None
    max_tool_calls: int | None
    metadata: dict[str, str]
    model: str
    output: Sequence[OutputItem] = ()
    parallel_tool_calls: bool
    previous_response_id: str | None
    prompt_cache_key: str | None
    reasoning: dict[str, str | None]
    safety_identifier: str | None
    service_tier: str = "default"
    store: bool
    temperature: float
    text: dict[str, Any]
    tool_choice: str | dict[str, Any]
    tools: list[dict[str, Any]]
    top_logprobs: int
    top_p: float
    truncation: str
    usage: Usage | None = None
    user: str | None


def opening(
    request: ResponsesRequest,
    *,
    id: str,
    created_at: int,
    model: str,
    sampling: SamplingDefaults = NEUTRAL,
    overflow: Overflow = "error",
) -> Response:
    """Return the response to a request as it stands before the first token; the entry fills in what it leaves open."""
    belongs = request.conversation_id
    options = request.text
    effort = request.reasoning.effort if request.reasoning else None
    return Response(
        id=id,
        created_at=created_at,
        background=bool(request.background),
        conversation=None if belongs is None else ConversationId(belongs),
        instructions=request.instructions,
        max_output_tokens=request.max_output_tokens,
        max_tool_calls=request.max_tool_calls,
        metadata=request.metadata or {},
        model=model,
        parallel_tool_calls=request.parallel_tool_calls is not False,
        previous_response_id=request.previous_response_id,
        prompt_cache_key=request.prompt_cache_key,
        reasoning={"effort": effort, "summary": None},
        safety_identifier=request.safety_identifier,
        store=request.is_stored,
        temperature=_first(request.temperature, sampling.temperature),
        text={
            "format": (options and options.format) or {"type": "text"},
            "verbosity": (options and options.verbosity) or "medium",
        },
        tool_choice="auto" if request.tool_choice is None else request.tool_choice,
        tools=request.tools or [],
        top_logprobs=request.top_logprobs or 0,
        top_p=_first(request.top_p, sampling.top_p),
        truncation=request.truncation or ("disabled" if overflow == "error" else "auto"),
        user=request.user,
    )


def _first(*given: float | None) -> float:
    return next((value for value in given if value is not None), 1.0)


def failed(response: Response, error: MlxdError, *, status: str = "failed") -> Response:
    """Return the response with the error that ended it."""
    shown = ResponseError(_code(error), error.message, error.code, error.field)
    return msgspec.structs.replace(response, status=status, error=shown)


def _code(error: MlxdError) -> str:
    """Return one of the few codes that clients act upon: Codex tells by it whether to try again."""
    if isinstance(error, ContextLengthExceeded):
        return error.code
    if error.status == 429:
        return "rate_limit_exceeded"
    return "invalid_prompt" if isinstance(error, CallerError) else "server_error"
