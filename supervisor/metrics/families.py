"""Sort paths into the few families that a label may name; whatever else is asked for is `other`."""

import re

OTHER = "other"

_FAMILIES = (
    (r"/v1/chat/completions", "chat"),
    (r"/v1/completions", "completions"),
    (r"(/anthropic)?/v1/messages", "messages"),
    (r"(/anthropic)?/v1/messages/count_tokens", "count_tokens"),
    (r"/v1/responses(/.*)?", "responses"),
    (r"/v1/conversations(/.*)?", "conversations"),
    (r"/v1/embeddings", "embeddings"),
    (r"/v1/rerank", "rerank"),
    (r"/v1/audio/speech", "speech"),
    (r"/v1/audio/(transcriptions|translations)", "transcriptions"),
    (r"/v1/images/(generations|edits|variations)", "images"),
    (r"/api/(chat|generate)", "ollama"),
    (r"/api/(embed|embeddings)", "ollama_embed"),
    (r"/v1/models(/.*)?|/anthropic/v1/models(/.*)?|/v1/audio/(voices|models)", "models"),
    (r"/v1/downloads|/api/(tags|ps|show|pull|delete|version)", "models"),
    (r"/v1/keys(/.*)?", "keys"),
    (r"/health|/v1/(ready|ps|events|(batch|queue)/stats)|/metrics|/admin(/.*)?|/", "operations"),
)
_PATTERNS = tuple((re.compile(pattern), family) for pattern, family in _FAMILIES)


def family(path: str) -> str:
    """Return the family of a request's path."""
    return next((name for pattern, name in _PATTERNS if pattern.fullmatch(path)), OTHER)
