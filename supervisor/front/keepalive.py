"""Know the bytes that tell a waiting client, in its own dialect, that its stream is alive."""

from collections.abc import Callable
from typing import Protocol

import msgspec

from mlxd.protocol import ollama_answer, render, sse
from mlxd.protocol.dialect import Dialect
from mlxd.protocol.errors import MlxdError

_COMMENTING = (Dialect.OPENAI, Dialect.RESPONSES)
_PING = sse.event(b'{"type":"ping"}', "ping")


def frame(dialect: Dialect) -> bytes:
    """Return the frame that means nothing but resets the client's clock.

    Claude Code counts events only (litellm PR#36024), so Anthropic's dialect gets its ping event. Ollama's has no
    such frame: each of its lines must be an answer, which `OllamaVoice` knows.
    """
    match dialect:
        case Dialect.ANTHROPIC:
            return _PING
        case Dialect.OPENAI | Dialect.RESPONSES:
            return sse.COMMENT
        case Dialect.OLLAMA:
            return b""


class Voice(Protocol):
    """Say in one stream what the supervisor itself has to say."""

    def keep_alive(self) -> bytes:
        """Return the frame that is sent when there was nothing to send for a while; empty where there is none."""
        ...

    def failure(self, error: MlxdError) -> bytes:
        """Return the frames that end a stream which failed."""
        ...


class PlainVoice:
    """Say the same in every stream of a dialect."""

    def __init__(self, dialect: Dialect, note: Callable[[], str | None] = lambda: None) -> None:
        self._dialect = dialect
        self._note = note

    def keep_alive(self) -> bytes:
        """Return the dialect's frame; where that is a comment, it says what the client waits for."""
        if self._dialect not in _COMMENTING or (text := self._note()) is None:
            return frame(self._dialect)
        return f": {' '.join(text.split())}\n\n".encode()

    def failure(self, error: MlxdError) -> bytes:
        """Return the dialect's error."""
        return render.final_event(error, self._dialect)


class OllamaVoice:
    """Say in a stream of Ollama's, whose lines are all answers, that nothing is added to this one yet.

    An empty line would do for JSON, but the official clients parse each line.
    """

    def __init__(self, path: str, model_id: str) -> None:
        self._path = path
        self._model_id = model_id

    def keep_alive(self) -> bytes:
        """Return a line that adds nothing."""
        return msgspec.json.encode(ollama_answer.empty(self._path, self._model_id)) + b"\n"

    def failure(self, error: MlxdError) -> bytes:
        """Return the line of an error."""
        return render.final_event(error, Dialect.OLLAMA)


def media_type(dialect: Dialect) -> bytes:
    """Return the content type of the dialect's streams."""
    if dialect is Dialect.OLLAMA:
        return b"application/x-ndjson"
    return b"text/event-stream; charset=utf-8"


def frame_end(dialect: Dialect) -> bytes:
    """Return the bytes after which another frame may begin."""
    return b"\n" if dialect is Dialect.OLLAMA else b"\n\n"
