"""Speak in a stream of Responses before its worker does, and notice how the stream ends."""

from collections.abc import Callable

import msgspec

from mlxd.protocol import openai_responses_events as events
from mlxd.protocol import sse
from mlxd.protocol.errors import MlxdError
from mlxd.protocol.openai_responses_output import Response, failed
from mlxd.supervisor.front.answer import RawHeaders
from mlxd.supervisor.front.upstream import Sink


class ResponseVoice:
    """Number what is said in one stream, by us and then by the worker.

    While the worker speaks, only it knows the next number, and it says itself that the response is in progress; what is
    left to us then is a comment.
    """

    def __init__(
        self, opening: Response, waiting: type[events.Lifecycle] = events.InProgress
    ) -> None:
        self._opening = opening
        self._waiting = waiting
        self.worker_speaks = False
        """Only the worker knows the next number."""
        self.number = 0
        """Number of the next event."""
        self.is_over = False
        """The last event has been sent."""

    def keep_alive(self) -> bytes:
        """Return real events, for some clients count nothing else."""
        if self.worker_speaks:
            return sse.COMMENT
        return b"".join(self.beginning())

    def failure(self, error: MlxdError) -> bytes:
        """Return the event of a failed response, unless the response has ended already."""
        if self.is_over:
            return b""
        self.is_over = True
        ended = self._created()
        return b"".join([*ended, self._said(events.Failed, failed(self._opening, error))])

    def beginning(self) -> list[bytes]:
        """Return the events that say where the response stands, one frame each."""
        return [*self._created(), self._said(self._waiting, self._opening)]

    def _created(self) -> list[bytes]:
        return [] if self.number else [self._said(events.Created, self._opening)]

    def _said(self, kind: type[events.Lifecycle], response: Response) -> bytes:
        event = kind(sequence_number=self.number, response=response)
        self.number += 1
        return events.frame(event)


class Final(msgspec.Struct, frozen=True):
    """Hold what is to be known of a finished response; `body` is all of it."""

    status: str
    output: list[msgspec.Raw]


class _End(msgspec.Struct, frozen=True):
    response: msgspec.Raw


def final_of(response: bytes) -> Final:
    """Read a finished response."""
    return msgspec.json.decode(response, type=Final)


class Recorder:
    """Pass a worker's response on, and hand over the finished object before anybody has it from here."""

    def __init__(self, sink: Sink, voice: ResponseVoice, on_end: Callable[[bytes], None]) -> None:
        self._sink, self._voice, self._on_end = sink, voice, on_end
        self.extra_headers: RawHeaders = []
        """What the supervisor adds to the head."""
        self.has_begun = False
        """The client has something of the answer, so that another worker's cannot take its place."""
        self.restart()

    def restart(self) -> None:
        """Expect a worker's response from its beginning."""
        self._voice.worker_speaks = False
        self._parser: sse.Parser | None = None
        self._whole: list[bytes] | None = None
        self._missing = 0

    def hand_over(self) -> int:
        """Leave the rest to the worker; returns the number of its first event."""
        self._voice.worker_speaks = True
        return self._voice.number

    @property
    def started(self) -> bool:
        """Say whether a refusal is to be raised."""
        return self._sink.started

    async def begin(self, status: int, headers: RawHeaders) -> None:
        """Find out what comes."""
        named = {name.lower(): value for name, value in headers}
        if named.get(b"content-type", b"").startswith(b"text/event-stream"):
            self._parser = sse.Parser()
        elif status == 200:
            self._whole, self._missing = [], int(named.get(b"content-length", b"0"))
        self.has_begun |= self._parser is None
        await self._sink.begin(status, [*headers, *self.extra_headers])

    async def write(self, chunk: bytes) -> None:
        """Take bytes; nothing waits for what is done with them."""
        if self._parser is not None:
            for name, data in self._parser.feed(chunk):
                self._take(name, data)
            # Nobody else can go on in the middle of a frame.
            self.has_begun |= not chunk.endswith(b"\n\n")
        elif self._whole is not None:
            self._whole.append(chunk)
            self._missing -= len(chunk)
            if self._missing <= 0:
                self._on_end(b"".join(self._whole))
                self._whole = None
        await self._sink.write(chunk)

    def _take(self, name: str | None, data: bytes) -> None:
        self._voice.number += 1
        self.has_begun |= name not in events.BEGINNINGS
        if name in events.ENDS:
            self._voice.is_over = True
            self._on_end(bytes(msgspec.json.decode(data, type=_End).response))
