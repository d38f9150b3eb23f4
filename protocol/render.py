"""Render an error as each dialect writes it: as a body, or as the last event of a stream."""

import math

import msgspec

from mlxd.protocol.dialect import Dialect
from mlxd.protocol.errors import CapacityError, ContextLengthExceeded, MlxdError

_OPENAI_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "invalid_request_error",
    405: "invalid_request_error",
    408: "invalid_request_error",
    409: "invalid_request_error",
    413: "invalid_request_error",
    429: "rate_limit_error",
}
_ANTHROPIC_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    408: "invalid_request_error",
    409: "invalid_request_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}


def status(error: MlxdError, dialect: Dialect) -> int:
    """Return the HTTP status; Anthropic's clients know "come back later" as 529."""
    overloaded = isinstance(error, CapacityError) and error.status == 503
    return 529 if overloaded and dialect is Dialect.ANTHROPIC else error.status


def body(error: MlxdError, dialect: Dialect) -> dict[str, object]:
    """Return the error as the JSON object the dialect's clients parse."""
    match dialect:
        case Dialect.ANTHROPIC:
            kind = _ANTHROPIC_TYPES.get(status(error, dialect), "api_error")
            detail = {"type": kind, "message": _anthropic_sentence(error), "code": error.code}
            return {"type": "error", "error": detail}
        case Dialect.OLLAMA:
            return {"error": error.message, "code": error.code}
        case Dialect.OPENAI | Dialect.RESPONSES:
            return {"error": _openai_detail(error)}


def _anthropic_sentence(error: MlxdError) -> str:
    """Return the message; Claude Code knows by this very sentence that it must compact the conversation."""
    tokens = getattr(
        error, "prompt_tokens", None
    )  # a worker's refusal passed on has only its message
    if not isinstance(error, ContextLengthExceeded) or tokens is None:
        return error.message
    more = " (at least: the rest was not counted)" if error.at_least else ""
    return f"prompt is too long: {tokens} tokens > {error.limit} maximum{more}"


def _openai_detail(error: MlxdError) -> dict[str, object]:
    default = "overloaded_error" if isinstance(error, CapacityError) else "server_error"
    return {
        "message": error.message,
        "type": _OPENAI_TYPES.get(error.status, default),
        "param": error.field,
        "code": error.code,
    }


def headers(error: MlxdError) -> dict[str, str]:
    """Return the headers the error adds: `Retry-After` in whole seconds where one is known."""
    if error.retry_after is None:
        return {}
    return {"retry-after": str(max(1, math.ceil(error.retry_after)))}


def final_event(error: MlxdError, dialect: Dialect) -> bytes:
    """Return the frame that ends a failed stream; never one that a client takes for a clean end."""
    match dialect:
        case Dialect.OLLAMA:
            return msgspec.json.encode(body(error, dialect)) + b"\n"
        case Dialect.OPENAI:
            return b"data: " + msgspec.json.encode(body(error, dialect)) + b"\n\n"
        case Dialect.ANTHROPIC:
            return b"event: error\ndata: " + msgspec.json.encode(body(error, dialect)) + b"\n\n"
        case Dialect.RESPONSES:
            event: dict[str, object] = {"type": "error", "code": error.code}
            event |= {"message": error.message, "param": error.field}
            return b"event: error\ndata: " + msgspec.json.encode(event) + b"\n\n"
