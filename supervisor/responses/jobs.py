"""Carry out responses in the background: nobody needs to wait for them, anybody may look in."""

import asyncio
import logging
from collections.abc import AsyncGenerator

import msgspec

from mlxd.protocol import openai_responses_events as events
from mlxd.protocol import sse
from mlxd.protocol.errors import InternalError, MlxdError
from mlxd.protocol.openai_responses_output import Response, failed
from mlxd.supervisor.access import tenant
from mlxd.supervisor.front.answer import RawHeaders
from mlxd.supervisor.front.presence import wind_up
from mlxd.supervisor.ports import Pool
from mlxd.supervisor.responses.order import Order
from mlxd.supervisor.responses.store import ResponseStore
from mlxd.supervisor.responses.stream import Recorder, ResponseVoice

logger = logging.getLogger("mlxd.responses")

_REMEMBERED = 32
"""So many finished responses can still be streamed again."""
_REMEMBERED_BYTES = 16 << 20


class Job:
    """Hold one background response: its events so far, and the task that works at it."""

    def __init__(self, order: Order) -> None:
        self.order = order
        self.owner = tenant.current().id
        """Id of the key that asked for it."""
        self.frames: list[bytes] = []
        """Frame n is event n."""
        self.is_done = False
        self.voice = ResponseVoice(self.shown("queued"), waiting=events.Queued)
        self.saving: asyncio.Future[None] | None = None
        self.task: asyncio.Task[None] | None = None
        self._parser = sse.Parser()
        self._news = asyncio.Event()

    @property
    def id(self) -> str:
        """Return the id of the response."""
        return self.order.opening.id

    @property
    def size(self) -> int:
        """Return the bytes of all frames and of the request."""
        return len(self.order.body) + sum(map(len, [*self.frames, *self.order.own]))

    @property
    def started(self) -> bool:
        """Say yes: a refusal of the worker's has no status to become."""
        return True

    def shown(self, status: str) -> Response:
        """Return the response in a state."""
        return msgspec.structs.replace(self.order.opening, status=status)

    def now(self) -> Response | None:
        """Return the response as it stands; None once it has ended, for then the store knows more."""
        if self.voice.is_over:
            return None
        return self.shown("in_progress" if self.voice.worker_speaks else "queued")

    async def begin(self, status: int, headers: RawHeaders) -> None:
        """Take the worker's head, which says nothing new."""

    async def write(self, chunk: bytes) -> None:
        """Take the worker's events."""
        self.frames += [sse.event(data, name) for name, data in self._parser.feed(chunk)]
        self._wake()

    def say(self, frame: bytes) -> None:
        """Add an event of our own."""
        self.frames.append(frame)
        self._wake()

    def finish(self) -> None:
        """Let readers go once they have everything."""
        self.is_done = True
        self._wake()

    async def follow(self, after: int) -> AsyncGenerator[bytes]:
        """Yield the frames after a number, as they come."""
        position = after + 1
        while True:
            news = self._news
            while position < len(self.frames):
                yield self.frames[position]
                position += 1
            if self.is_done:
                return
            await news.wait()

    def _wake(self) -> None:
        self._news.set()
        self._news = asyncio.Event()


class Jobs:
    """Hold the jobs that run, and a few that have ended."""

    def __init__(self, pool: Pool, store: ResponseStore) -> None:
        self._pool, self._store = pool, store
        self._jobs: dict[str, Job] = {}

    def find(self, response_id: str) -> Job | None:
        """Return the caller's job of a response, if it runs or has ended only lately."""
        job = self._jobs.get(response_id)
        return job if job is not None and job.owner == tenant.current().id else None

    async def start(self, order: Order) -> Job:
        """Begin; raises InvalidRequest where the input is none. The response can be fetched from now on."""
        job = Job(order)
        queued = msgspec.json.encode(job.shown("queued"))
        first = order.record(queued, "queued", order.inputs())
        await self._store.run(lambda database: database.save(first))
        for frame in job.voice.beginning():
            job.say(frame)
        self._jobs[job.id] = job
        job.task = asyncio.create_task(self._carry_out(job))
        # Among the requests that its key may have running it counts until it has ended.
        if (slot := tenant.calling().slot) is not None:
            slot.share()
            job.task.add_done_callback(lambda task: slot.release())
        return job

    async def cancel(self, job: Job) -> None:
        """End a job that runs; one that has ended stays what it is."""
        if job.task is None or job.is_done:
            return
        await wind_up(job.task)
        if not job.is_done:  # it had not even begun
            self._end(job, job.shown("cancelled"))
            await self._store.finish(job.saving)
            job.finish()

    def forget(self, response_id: str) -> None:
        """Keep no events of a response that was deleted."""
        self._jobs.pop(response_id, None)

    async def close(self) -> None:
        """Cancel what still runs."""
        for job in list(self._jobs.values()):
            await self.cancel(job)

    async def _carry_out(self, job: Job) -> None:
        recorder = Recorder(job, job.voice, lambda response: self._keep(job, response))
        try:
            await job.order.carry_out(self._pool, recorder)
            if not job.voice.is_over:
                raise InternalError("the worker ended the response without saying how")
        except asyncio.CancelledError:
            # By its client, or because the daemon leaves; whoever looks in is told.
            self._end(job, job.shown("cancelled"))
        except Exception as error:
            self._end(job, failed(job.order.opening, _foreseen(error, job.id)))
        await self._store.finish(job.saving)
        job.finish()
        self._forget_oldest()

    def _keep(self, job: Job, response: bytes) -> None:
        keeping = job.order.keeping(response)
        assert keeping is not None  # a background response is always stored
        job.saving = self._store.submit(keeping, job.owner)

    def _end(self, job: Job, response: Response) -> None:
        """End a response that its worker did not end."""
        if job.voice.is_over:
            return
        job.voice.is_over = True
        self._keep(job, msgspec.json.encode(response))
        number = len(job.frames)
        job.say(events.frame(events.Failed(sequence_number=number, response=response)))

    def _forget_oldest(self) -> None:
        ended = [job for job in self._jobs.values() if job.is_done]
        size = sum(job.size for job in ended)
        while len(ended) > _REMEMBERED or size > _REMEMBERED_BYTES:
            oldest = ended.pop(0)
            size -= oldest.size
            self._jobs.pop(oldest.id, None)


def _foreseen(error: Exception, response_id: str) -> MlxdError:
    if isinstance(error, MlxdError):
        return error
    logger.error("unforeseen id=%s", response_id, exc_info=error)
    return InternalError(f"something went wrong inside mlxd; its log has more under {response_id}")
