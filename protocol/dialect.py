"""Tell which client dialect a path speaks."""

from enum import Enum


class Dialect(Enum):
    """The shape of errors and of stream frames a client expects."""

    OPENAI = "openai"
    RESPONSES = "responses"
    ANTHROPIC = "anthropic"
    OLLAMA = "ollama"


def of_path(path: str) -> Dialect:
    """Return the dialect of a request path; OpenAI's for everything that is ours."""
    if path.startswith("/anthropic/") or path == "/v1/messages" or path.startswith("/v1/messages/"):
        return Dialect.ANTHROPIC
    if path == "/v1/responses" or path.startswith("/v1/responses/"):
        return Dialect.RESPONSES
    if path.startswith("/api/"):
        return Dialect.OLLAMA
    return Dialect.OPENAI
