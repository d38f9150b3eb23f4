"""Serve Ollama's calls that a model answers; names may end in `:latest`, and a body may ask for loading alone."""

from dataclasses import dataclass

import msgspec
from starlette.datastructures import Headers
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from mlxd.config.settings import Settings
from mlxd.config.spec import ModelSpec
from mlxd.protocol import ollama_answer, ollama_chat
from mlxd.protocol.dialect import Dialect
from mlxd.protocol.errors import ModelNotFound
from mlxd.protocol.kinds import ModelKind
from mlxd.protocol.peek import Peek, peek
from mlxd.supervisor.front import body, request_trace
from mlxd.supervisor.front.answer import Answer
from mlxd.supervisor.front.keepalive import OllamaVoice, media_type
from mlxd.supervisor.front.presence import while_present
from mlxd.supervisor.ports import Catalog, Pool
from mlxd.supervisor.routes.models import GENERATING, Asked, ModelCall, answered, resolve

LATEST = ":latest"
"""The tag that Ollama's clients add to a name without one."""
_EMBEDDING = frozenset({ModelKind.EMBEDDING})

KINDS = {
    "/api/chat": GENERATING,
    "/api/generate": GENERATING,
    "/api/embed": _EMBEDDING,
    "/api/embeddings": _EMBEDDING,
}
"""Which kinds of model each route reaches; those that generate stream unless they are told not to."""


def routes(settings: Settings, catalog: Catalog, pool: Pool) -> list[Route]:
    """Return the routes."""
    return [
        Route(path, OllamaCall(ModelCall(settings, catalog, pool, kinds)), methods=["POST"])
        for path, kinds in KINDS.items()
    ]


def named(catalog: Catalog, name: str) -> ModelSpec:
    """Return the model of this name, with or without the tag that Ollama's clients add; raises ModelNotFound."""
    try:
        return catalog.resolve(name)
    except ModelNotFound:
        if not name.endswith(LATEST):
            raise
    return catalog.resolve(name.removesuffix(LATEST))


@dataclass(frozen=True, slots=True, eq=False)
class OllamaCall:
    """Serve one route, as an ASGI app."""

    call: ModelCall

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request."""
        call, path = self.call, scope["path"]
        limit = call.settings.server.max_body
        content = await body.read(Headers(scope=scope), receive, limit)
        head = peek(content, stream_default=True)
        if call.kinds is not GENERATING:
            head = msgspec.structs.replace(head, stream=False)
        spec = resolve(call.catalog, named(call.catalog, head.model).id, path, call.kinds)
        voice = OllamaVoice(path, spec.id)
        if head.keep_alive == 0 and ollama_chat.asks_nothing(path, content):
            request_trace.of(scope).model = spec.id
            answer = Answer(send, Dialect.OLLAMA, streaming=head.stream, voice=voice)
            await while_present(receive, self._unload(scope, spec, head, answer))
            return
        await call.serve(scope, receive, send, Asked(spec, head, content), voice)

    async def _unload(self, scope: Scope, spec: ModelSpec, head: Peek, answer: Answer) -> None:
        """Have the model's worker leave; answered when it has."""

        async def unload() -> None:
            await self.call.pool.unload(spec)
            line = ollama_answer.empty(scope["path"], spec.id, "unload")
            kind = media_type(Dialect.OLLAMA) if head.stream else b"application/json"
            await answer.begin(200, [(b"content-type", kind)])
            await answer.write(msgspec.json.encode(line) + b"\n")

        await answered(scope, answer, self.call.settings.server.longest_silence, unload)
