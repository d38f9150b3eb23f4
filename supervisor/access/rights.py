"""Say which right a route asks for: a table, and `admin` for whatever nobody thought to enter."""

import re

from mlxd.protocol.keys import Right
from mlxd.supervisor.web import page

OPEN_PATH = "/health"
"""The one route that answers without a key: it tells that the daemon lives. Beside it, the page of operators loads."""

_READ, _POST, _DELETE = ("GET", "HEAD"), ("POST",), ("DELETE",)

_TABLE: tuple[tuple[tuple[str, ...], str, Right], ...] = (
    (_READ, r"/v1/models(/.+)?|/anthropic/v1/models(/.+)?|/v1/ps|/v1/ready", Right.USE),
    (_POST, r"/v1/(chat/completions|completions|embeddings|rerank)", Right.USE),
    (_POST, r"/v1/audio/(speech|transcriptions|translations)", Right.USE),
    (_READ, r"/v1/audio/(voices|models)", Right.USE),
    (_POST, r"/v1/images/(generations|edits|variations)", Right.USE),
    (_POST, r"(/anthropic)?/v1/messages(/count_tokens)?", Right.USE),
    (_READ + _POST + _DELETE, r"/v1/(responses|conversations)(/.+)?", Right.USE),
    (_POST, r"/api/(chat|generate|embed|embeddings|show)", Right.USE),
    (_READ, r"/|/api/(tags|ps|version)", Right.USE),
    (_READ, r"/metrics|/v1/events|/v1/(batch|queue)/stats", Right.WATCH),
    (_POST, r"/v1/models/plan", Right.WATCH),
)


def is_open(method: str, path: str) -> bool:
    """Tell whether the request needs no key."""
    return method in _READ and (path == OPEN_PATH or path in page.PATHS)


def needed(method: str, path: str) -> Right:
    """Return the right that the request asks for."""
    for methods, pattern, right in _TABLE:
        if method in methods and re.fullmatch(pattern, path):
            return right
    return Right.ADMIN
