"""Serve the calls that a model answers: find it, wait for its worker, pass the request on."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from mlxd.config.settings import Settings
from mlxd.config.spec import ModelSpec
from mlxd.protocol import control, dialect
from mlxd.protocol.errors import InvalidRequest, MlxdError
from mlxd.protocol.kinds import ModelKind
from mlxd.protocol.peek import Peek, peek
from mlxd.supervisor import urgency
from mlxd.supervisor.front import body, form, refusal, request_trace, upstream
from mlxd.supervisor.front.answer import Answer, RawHeaders
from mlxd.supervisor.front.keepalive import PlainVoice, Voice
from mlxd.supervisor.front.presence import while_present
from mlxd.supervisor.front.second_try import second_try
from mlxd.supervisor.ports import Catalog, Pool
from mlxd.supervisor.urgency import Urgency

GENERATING = frozenset({ModelKind.TEXT, ModelKind.VISION})
"""Kinds that write text."""

KINDS = {
    "/v1/chat/completions": GENERATING,
    "/v1/completions": GENERATING,
    "/v1/messages": GENERATING,
    "/anthropic/v1/messages": GENERATING,
    "/v1/embeddings": frozenset({ModelKind.EMBEDDING}),
    "/v1/rerank": frozenset({ModelKind.RERANK}),
    "/v1/audio/speech": frozenset({ModelKind.SPEECH}),
    "/v1/audio/transcriptions": frozenset({ModelKind.TRANSCRIPTION}),
    "/v1/audio/translations": frozenset({ModelKind.TRANSCRIPTION}),
    "/v1/images/generations": frozenset({ModelKind.IMAGE}),
    "/v1/images/edits": frozenset({ModelKind.IMAGE}),
}
"""Which kinds of model each route reaches."""

COUNTING = {
    "/v1/messages/count_tokens": GENERATING,
    "/anthropic/v1/messages/count_tokens": GENERATING,
}
"""The same for the routes that need no model but its tokenizer."""

_WAITING = b"x-mlxd-waiting"
_NOTEWORTHY_S = 0.05
"""A wait that is over sooner is not explained."""
_PASSED_ON = (b"content-type", b"accept", b"user-agent")
"""What a worker may want to know; keys and cookies are none of its business."""


def routes(settings: Settings, catalog: Catalog, pool: Pool) -> list[Route]:
    """Return the routes of all model calls."""
    return [
        Route(path, ModelCall(settings, catalog, pool, kinds, counts), methods=["POST"])
        for table, counts in ((KINDS, False), (COUNTING, True))
        for path, kinds in table.items()
    ]


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """Hold a request that is to be passed on."""

    spec: ModelSpec
    head: Peek
    content: bytes


@dataclass(frozen=True, slots=True, eq=False)
class ModelCall:
    """Serve one route, as an ASGI app."""

    settings: Settings
    catalog: Catalog
    pool: Pool
    kinds: frozenset[ModelKind]
    counts: bool = False
    """A tokenizer will do."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request; once its client leaves, at whatever point, nothing of it goes on."""
        headers = Headers(scope=scope)
        content = await body.read(headers, receive, self.settings.server.max_body)
        content_type = headers.get("content-type", "")
        head = form.peek(content, content_type) if form.is_form(content_type) else peek(content)
        spec = resolve(self.catalog, head.model, scope["path"], self.kinds)
        voice = PlainVoice(dialect.of_path(scope["path"]), lambda: self.pool.note(spec.id))
        await self.serve(scope, receive, send, Asked(spec, head, content), voice)

    async def serve(
        self, scope: Scope, receive: Receive, send: Send, asked: Asked, voice: Voice
    ) -> None:
        """Have the model answer; `voice` speaks while it does not."""
        wish = urgency.of(Headers(scope=scope))
        request_trace.of(scope).model = asked.spec.id
        answer = Answer(
            send,
            dialect.of_path(scope["path"]),
            streaming=asked.head.stream and not self.counts,
            voice=voice,
        )
        await while_present(receive, self._relay(scope, asked, wish, answer))

    async def _relay(self, scope: Scope, asked: Asked, wish: Urgency, answer: Answer) -> None:
        wait = self.pool.lease_counter if self.counts else self.pool.lease
        spec, head = asked.spec, asked.head
        target, headers = _target(scope), passed_on(scope)

        def explain() -> None:
            if text := self.pool.note(spec.id):
                plain = " ".join(text.split()).encode("ascii", "replace")
                answer.extra_headers = [(_WAITING, plain)]

        async def attempt() -> None:
            nonlocal wish
            asked_at = time.monotonic()
            asking = asyncio.get_running_loop().call_later(_NOTEWORTHY_S, explain)
            async with wait(spec, keep_alive=head.keep_alive, urgency=wish) as lease:
                waited = time.monotonic() - asked_at
                wish = wish.after(waited)
                asking.cancel()
                queued = (b"x-mlxd-queued-ms", b"%d" % round(waited * 1000))
                answer.extra_headers = [h for h in answer.extra_headers if h[0] == _WAITING]
                answer.extra_headers.append(queued)
                timed = [*headers, (control.QUEUED.encode(), b"%d" % round(waited * 1e9))]
                await upstream.relay(lease, upstream.Call(target, timed, asked.content), answer)

        async def relay() -> None:
            await second_try(attempt, lambda: answer.has_content, spec.id)

        await answered(scope, answer, self.settings.server.longest_silence, relay)


def resolve(catalog: Catalog, name: str, path: str, kinds: frozenset[ModelKind]) -> ModelSpec:
    """Return the model of this name; raises CallerError where a path cannot reach it."""
    spec = catalog.resolve(name)
    if spec.kind not in kinds:
        wanted = " or ".join(sorted(kinds))
        raise InvalidRequest(
            f"model: {spec.id} is of kind {spec.kind}, {path} takes one of kind {wanted}",
            field="model",
        )
    spec.check()
    return spec


async def answered(
    scope: Scope, answer: Answer, interval: float, relay: Callable[[], Awaitable[None]]
) -> None:
    """Keep an answer alive while `relay` gets it, and end it: well, or with the error of `relay`."""
    async with answer.kept_alive(interval):
        try:
            await relay()
        except Exception as error:
            refused = (
                refusal.unbound(error)
                if isinstance(error, MlxdError)
                else refusal.unforeseen(scope)
            )
            request_trace.of(scope).error = refused.code
            await answer.fail(refused)
            return
    # Last and without a lease: whoever has the whole response sees a worker that is free again.
    await answer.end()


def _target(scope: Scope) -> str:
    query: bytes = scope["query_string"]
    path: str = scope["path"]
    return f"{path}?{query.decode('latin-1')}" if query else path


def passed_on(scope: Scope) -> RawHeaders:
    """Return the headers that a worker gets."""
    request_id = request_trace.of(scope).request_id.encode()
    kept = [(name, value) for name, value in scope["headers"] if name in _PASSED_ON]
    return [*kept, (b"x-request-id", request_id)]
