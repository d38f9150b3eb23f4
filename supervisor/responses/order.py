"""Hold one request for a response, from the body to what is kept of it."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mlxd.config.spec import ModelSpec
from mlxd.protocol import control
from mlxd.protocol import openai_responses as wire
from mlxd.protocol.openai_responses_output import Response, opening
from mlxd.supervisor.front import upstream
from mlxd.supervisor.front.answer import RawHeaders
from mlxd.supervisor.front.second_try import second_try
from mlxd.supervisor.ports import Pool
from mlxd.supervisor.responses.database import Database, Record
from mlxd.supervisor.responses.items import Item, kept, new_id
from mlxd.supervisor.responses.stream import Recorder, final_of
from mlxd.supervisor.urgency import Urgency

_SHARE_OF_INTERVAL = 0.8
"""The worker speaks up before the front would have to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """Say what was asked for, of which model, and with which words it is passed on."""

    request: wire.ResponsesRequest
    spec: ModelSpec
    keep_alive: float | None
    urgency: Urgency
    body: bytes
    own: Sequence[bytes]
    """The items that the request added to its context."""
    headers: RawHeaders
    opening: Response

    async def carry_out(
        self, pool: Pool, recorder: Recorder, *, interval: float | None = None
    ) -> None:
        """Wait for a worker and have it answer; with an `interval` it never stays silent for so many seconds."""
        wish = self.urgency

        async def attempt() -> None:
            nonlocal wish
            recorder.restart()
            asked_at = time.monotonic()
            async with pool.lease(self.spec, keep_alive=self.keep_alive, urgency=wish) as lease:
                waited = time.monotonic() - asked_at
                wish = wish.after(waited)
                recorder.extra_headers = [(b"x-mlxd-queued-ms", b"%d" % round(waited * 1000))]
                call = self._call(recorder.hand_over(), interval, waited)
                await upstream.relay(lease, call, recorder)

        await second_try(attempt, lambda: recorder.has_begun, self.spec.id)

    def _call(self, number: int, interval: float | None, waited: float) -> upstream.Call:
        """Return the request as the worker gets it, with what it must know to go on from here."""
        told = {
            wire.RESPONSE_ID: self.opening.id,
            wire.CREATED_AT: str(self.opening.created_at),
            wire.NEXT_NUMBER: str(number),
            control.QUEUED: str(round(waited * 1e9)),
        }
        if interval is not None:
            told[wire.PAUSE] = str(interval * _SHARE_OF_INTERVAL)
        ours = [(name.encode(), value.encode()) for name, value in told.items()]
        return upstream.Call("/v1/responses", [*self.headers, *ours], self.body)

    def inputs(self) -> list[Item]:
        """Return the own items as they are kept; raises InvalidRequest for what is none."""
        return kept(self.own)

    def keeping(self, response: bytes) -> Callable[[Database], None] | None:
        """Return what keeps the finished response, None where nothing of it is to be kept."""
        request, conversation = self.request, self.request.conversation_id
        if not request.is_stored and conversation is None:
            return None

        def keep(database: Database) -> None:
            final = final_of(response)
            inputs, outputs = self.inputs(), kept([bytes(item) for item in final.output])
            if request.is_stored:
                database.save(self.record(response, final.status, inputs, outputs))
            elif conversation is not None:
                database.append(conversation, [*inputs, *outputs])

        return keep

    def record(
        self, response: bytes, status: str, inputs: Sequence[Item], outputs: Sequence[Item] = ()
    ) -> Record:
        """Return what is kept of the response."""
        return Record(
            id=self.opening.id,
            body=response,
            status=status,
            previous=self.request.previous_response_id,
            conversation=self.request.conversation_id,
            inputs=inputs,
            outputs=outputs,
        )


def begun(request: wire.ResponsesRequest, spec: ModelSpec) -> Response:
    """Return a new response that nothing was done for yet."""
    return opening(
        request,
        id=new_id("resp"),
        created_at=int(time.time()),
        model=spec.id,
        sampling=spec.sampling,
        overflow=spec.overflow,
    )
