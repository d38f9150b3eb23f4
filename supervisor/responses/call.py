"""Serve `POST /v1/responses`: resolve what it refers to, have it answered, keep the answer."""

import asyncio
from dataclasses import dataclass

import msgspec
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from mlxd.config.settings import Settings
from mlxd.protocol import openai_responses as wire
from mlxd.protocol.dialect import Dialect
from mlxd.protocol.errors import InvalidRequest
from mlxd.protocol.peek import peek
from mlxd.supervisor import urgency
from mlxd.supervisor.front import body, request_trace
from mlxd.supervisor.front.answer import Answer
from mlxd.supervisor.front.presence import while_present
from mlxd.supervisor.ports import Catalog, Pool
from mlxd.supervisor.responses.context import changed, resolve
from mlxd.supervisor.responses.jobs import Jobs
from mlxd.supervisor.responses.order import Order, begun
from mlxd.supervisor.responses.routes import Following
from mlxd.supervisor.responses.store import ResponseStore
from mlxd.supervisor.responses.stream import Recorder, ResponseVoice
from mlxd.supervisor.routes import models as model_routes

PATH = "/v1/responses"


@dataclass(frozen=True, slots=True, eq=False)
class ResponsesCall:
    """Serve the route, as an ASGI app."""

    settings: Settings
    catalog: Catalog
    pool: Pool
    store: ResponseStore
    jobs: Jobs

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request; once its client leaves nothing of it goes on, but in the background."""
        limit = self.settings.server.max_body
        content = await body.read(Headers(scope=scope), receive, limit)
        order = await self._order(scope, content)
        streaming = bool(order.request.stream)
        if order.request.background:
            job = await self.jobs.start(order)
            response: Response = Response(
                msgspec.json.encode(job.shown("queued")), media_type="application/json"
            )
            if streaming:
                interval = self.settings.server.longest_silence
                response = Following(job, after=-1, interval=interval)
            await response(scope, receive, send)
            return
        voice = ResponseVoice(order.opening)
        answer = Answer(send, Dialect.RESPONSES, streaming=streaming, voice=voice)
        await while_present(receive, self._serve(scope, order, voice, answer))

    async def _order(self, scope: Scope, content: bytes) -> Order:
        head = peek(content)
        spec = model_routes.resolve(self.catalog, head.model, PATH, model_routes.GENERATING)
        request_trace.of(scope).model = spec.id
        request = wire.decode(content)
        if request.background and not self.store.keeps:
            raise InvalidRequest(
                "background: nothing is stored here, responses.max_stored is 0", field="background"
            )
        resolved = await resolve(self.store, content, request)
        return Order(
            request=request,
            spec=spec,
            keep_alive=head.keep_alive,
            urgency=urgency.of(Headers(scope=scope)),
            # Events are what a background response is followed by.
            body=changed(resolved.body, stream=b"true") if request.background else resolved.body,
            own=resolved.own,
            headers=model_routes.passed_on(scope),
            opening=begun(request, spec),
        )

    async def _serve(
        self, scope: Scope, order: Order, voice: ResponseVoice, answer: Answer
    ) -> None:
        saving: list[asyncio.Future[None]] = []

        def keep(response: bytes) -> None:
            keeping = order.keeping(response) if self.store.keeps else None
            if keeping is not None:
                saving.append(self.store.submit(keeping))

        interval = self.settings.server.longest_silence

        async def relay() -> None:
            recorder = Recorder(answer, voice, keep)
            await order.carry_out(self.pool, recorder, interval=interval)
            for kept in saving:
                await self.store.finish(kept)

        await model_routes.answered(scope, answer, interval, relay)
