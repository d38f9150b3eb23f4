"""Know for every route that takes a body what it reads the body into, and a small body that is right."""

import base64
import io
from dataclasses import dataclass, field
from typing import Any

import msgspec
from PIL import Image

from mlxd.protocol import (
    admin,
    anthropic_messages,
    downloads,
    keys,
    ollama_chat,
    ollama_embeddings,
    ollama_models,
    openai_chat,
    openai_completions,
    openai_embeddings,
    openai_images,
    openai_responses,
    openai_speech,
    openai_transcriptions,
    plan,
    rerank,
)

SPARE = "spare"
"""The one model that bodies may load and unload; all others stay."""
WRITING = ("text", "text", "text", "eyes")


@dataclass(frozen=True)
class Target:
    """Describe one route, whose path may have places for names."""

    path: str
    kind: type[msgspec.Struct] | None = None
    whole: dict[str, Any] = field(default_factory=dict)
    models: tuple[str, ...] = ()
    method: str = "POST"
    weight: float = 8.0
    upload: str = ""
    """The file's name in a form; without one the body is JSON."""


def picture() -> str:
    """Return a small picture in base64."""
    written = io.BytesIO()
    Image.new("RGB", (8, 6), (200, 30, 90)).save(written, "PNG")
    return base64.b64encode(written.getvalue()).decode()


class _Items(msgspec.Struct):
    items: list[msgspec.Raw]
    metadata: dict[str, str] | None = None


_SAID = [{"role": "user", "content": "hi"}]
_ITEMS = {"items": [{"type": "message", **_SAID[0]}]}
_MESSAGES = {"messages": _SAID, "max_tokens": 2}
_DRAWN = {"prompt": "a cat", "size": "32x32", "steps": 2}
_SPOKEN = {"input": "hi", "response_format": "pcm"}
_HEARD = openai_transcriptions.TranscriptionRequest
_SHORT = {"options": {"num_predict": 2}}
_CONVERSATION = "/v1/conversations/{conversation_id}"
_RESPONSE = "/v1/responses/{response_id}"


def _spare(
    path: str, kind: type[msgspec.Struct] | None, method: str = "POST", weight: float = 1.0
) -> Target:
    return Target(path, kind, {}, (SPARE,), method, weight)


def _plain(path: str, method: str = "POST", weight: float = 1.0, **rest: Any) -> Target:
    return Target(path, method=method, weight=weight, **rest)


_COUNT = "/v1/messages/count_tokens"

TARGETS = (
    Target("/v1/chat/completions", openai_chat.ChatCompletionRequest, _MESSAGES, WRITING, weight=16),
    Target("/v1/completions", openai_completions.CompletionRequest, {"prompt": "hi", "max_tokens": 2}, WRITING),
    Target(
        "/v1/responses", openai_responses.ResponsesRequest, {"input": "hi", "max_output_tokens": 2}, WRITING, weight=16
    ),
    Target("/v1/messages", anthropic_messages.MessagesRequest, _MESSAGES, WRITING, weight=12),
    Target("/anthropic/v1/messages", anthropic_messages.MessagesRequest, _MESSAGES, WRITING, weight=4),
    Target(_COUNT, anthropic_messages.MessagesRequest, _MESSAGES, WRITING, weight=4),
    Target(f"/anthropic{_COUNT}", anthropic_messages.MessagesRequest, _MESSAGES, WRITING, weight=2),
    Target("/api/chat", ollama_chat.ChatRequest, {"messages": _SAID, **_SHORT}, WRITING, weight=12),
    Target("/api/generate", ollama_chat.GenerateRequest, {"prompt": "hi", **_SHORT}, WRITING),
    Target("/api/embed", ollama_embeddings.EmbedRequest, {"input": "hi"}, ("vectors",)),
    Target("/api/embeddings", ollama_embeddings.OlderRequest, {"prompt": "hi"}, ("vectors",), weight=4),
    Target("/v1/embeddings", openai_embeddings.EmbeddingsRequest, {"input": ["hi", "you"]}, ("vectors",)),
    Target("/v1/rerank", rerank.RerankRequest, {"query": "hi", "documents": ["a", "b"]}, ("judge",)),
    Target("/v1/audio/speech", openai_speech.SpeechRequest, _SPOKEN, ("mouth",), weight=3),
    Target("/v1/audio/transcriptions", _HEARD, {}, ("ears",), weight=1.5, upload="file"),
    Target("/v1/audio/translations", _HEARD, {}, ("ears",), weight=1, upload="file"),
    Target("/v1/images/generations", openai_images.ImagesRequest, _DRAWN, ("brush",), weight=3),
    Target("/v1/images/edits", openai_images.EditRequest, _DRAWN, ("brush",), weight=3, upload="image"),
    _spare("/v1/models/load", admin.LoadRequest, weight=0.4),
    _spare("/v1/models/unload", admin.UnloadRequest, weight=0.2),
    _spare("/v1/models/reset", admin.ResetRequest),
    _spare("/v1/models/plan", plan.PlanRequest),
    _spare("/v1/models/pull", downloads.PullRequest, weight=0.1),
    _spare("/api/pull", ollama_models.PullRequest, weight=0.1),
    _spare("/api/delete", ollama_models.ShowRequest, "DELETE"),
    Target("/api/show", ollama_models.ShowRequest, {}, ("text", "vectors", SPARE), weight=3),
    Target("/v1/keys", keys.KeyRequest, {"name": "somebody"}, (), weight=2),
    _plain("/v1/keys/{name}/rotate"),
    _plain("/v1/keys/{name}", "DELETE"),
    _plain("/v1/models/{name}", "DELETE"),
    _plain(_RESPONSE, "DELETE"),
    _plain(f"{_RESPONSE}/cancel"),
    _plain("/v1/conversations", kind=_Items, whole=_ITEMS, weight=3),
    _plain(_CONVERSATION, kind=_Items, whole={"metadata": {"a": "b"}}, weight=3),
    _plain(_CONVERSATION, "DELETE"),
    _plain(f"{_CONVERSATION}/items", kind=_Items, whole=_ITEMS, weight=4),
    _plain(f"{_CONVERSATION}/items/{{item_id}}", "DELETE"),
)  # fmt: skip
