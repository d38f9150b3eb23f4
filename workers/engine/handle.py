"""Let the HTTP thread ask for rows and read their tokens."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Self

import msgspec

from mlxd.protocol.errors import MlxdError, QueueFull
from mlxd.workers.engine import account
from mlxd.workers.engine.account import Account
from mlxd.workers.engine.inbox import Cancel, Inbox, Submit
from mlxd.workers.engine.pace import Pace
from mlxd.workers.engine.request import GenerateRequest, TokenOutput
from mlxd.workers.engine.sequence import Delivery
from mlxd.workers.engine.stats import BatchStats, Board
from mlxd.workers.engine.validate import Window


class Generation(AsyncIterator[list[TokenOutput]]):
    """Yield one row's tokens as they come: each item holds all that arrived since the last one."""

    def __init__(self, uid: int, engine: "Engine", account: Account) -> None:
        self.uid = uid
        self._account = account
        self.cached_tokens = 0
        """Prompt tokens that were not read again; known when the first token arrives."""
        self._engine = engine
        self._news = asyncio.Event()
        self._outputs: list[TokenOutput] = []
        self._error: MlxdError | None = None
        self._over = False
        self._spoke_at: float | None = None
        self._began = time.monotonic()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> list[TokenOutput]:
        """Return the tokens since the last call; raises what made the row fail once they are taken."""
        while not self._outputs:
            if self._error is not None:
                raise self._error
            if self._over:
                raise StopAsyncIteration
            self._news.clear()
            await self._news.wait()
        outputs, self._outputs = self._outputs, []
        return outputs

    def cancel(self) -> None:
        """Let the row leave within one step; does nothing where it is over."""
        if not self._over:
            self._over = True
            self._news.set()
            self._engine.abandon(self.uid)

    def receive(self, news: Delivery, now: float, pace: Pace) -> bool:
        """Take over what the engine thread handed over at `now`; tell whether it was the last."""
        self.cached_tokens = news.cached_tokens
        if news.outputs:
            self._outputs.extend(news.outputs)
            self._count(len(news.outputs), now, pace)
        self._error = news.error
        self._over = news.is_last
        self._news.set()
        return self._over

    def _count(self, tokens: int, now: float, pace: Pace) -> None:
        owner = self._account
        owner.output_tokens += tokens
        if self._spoke_at is None:
            pace.first_token.add(now - self._began)
            owner.began_answer(now)
            owner.cached_tokens = max(owner.cached_tokens, self.cached_tokens)
        else:
            gap = (now - self._spoke_at) / tokens
            pace.inter_token.add(gap, tokens)
            owner.gaps.add(gap, tokens)
        self._spoke_at = now


class Engine:
    """Check requests, hand them to the engine thread, and spread what it hands back.

    All methods but `publish` and `close` belong to the HTTP thread's event loop.
    """

    def __init__(self, inbox: Inbox, board: Board, window: Window, *, capacity: int) -> None:
        self._inbox = inbox
        self._board = board
        self._window = window
        self._capacity = capacity
        self._uids = itertools.count(1)
        self._live: dict[int, Generation] = {}
        self._pace = Pace()
        self._closed: MlxdError | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def submit(self, request: GenerateRequest) -> Generation:
        """Queue a request; raises InvalidRequest, ContextLengthExceeded, QueueFull, or why the engine is closed."""
        if self._closed is not None:
            raise self._closed
        self._window.check(request)
        if len(self._live) >= self._capacity:
            message = f"{len(self._live)} requests run or wait already"
            raise QueueFull(message, retry_after=1.0)
        self._loop = asyncio.get_running_loop()
        owner = account.current()
        owner.read(request.prompt)
        if owner.salt:
            request = replace(request, tenant=owner.salt)
        generation = Generation(next(self._uids), self, owner)
        self._live[generation.uid] = generation
        self._inbox.put(Submit(generation.uid, request))
        return generation

    def stats(self) -> BatchStats:
        """Return the batch's counts; never waits for the engine thread."""
        return msgspec.structs.replace(
            self._board.read(),
            first_token_seconds=self._pace.first_token.shown(),
            inter_token_seconds=self._pace.inter_token.shown(),
        )

    def abandon(self, uid: int) -> None:
        """Forget a row and let the engine thread do the same."""
        if self._live.pop(uid, None) is not None:
            self._inbox.put(Cancel(uid))

    def publish(self, news: list[Delivery]) -> None:
        """Carry a step's news to the event loop in one hand-over; called on the engine thread."""
        self._call(news)

    def close(self, error: MlxdError) -> None:
        """Fail all rows and everything submitted from now on; any thread may call this."""
        self._closed = error
        self._call(None)

    def _call(self, news: list[Delivery] | None) -> None:
        if self._loop is None:
            return
        try:
            self._loop.call_soon_threadsafe(self._spread, news)
        except RuntimeError:
            pass  # the event loop has ended, and with it everyone who could listen

    def _spread(self, news: list[Delivery] | None) -> None:
        if news is None:
            news = [Delivery(uid, error=self._closed) for uid in self._live]
        now = time.monotonic()
        for delivery in news:
            generation = self._live.get(delivery.uid)
            if generation is not None and generation.receive(delivery, now, self._pace):
                del self._live[delivery.uid]
