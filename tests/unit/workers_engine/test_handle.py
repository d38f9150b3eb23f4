"""The HTTP thread's view of the loop: tokens in order, errors after them, nothing after the end."""

import asyncio
import threading

import pytest

from mlxd.protocol.errors import (
    ContextLengthExceeded,
    InvalidRequest,
    QueueFull,
    ShuttingDown,
    WorkerDied,
)
from mlxd.workers.engine.handle import Engine
from mlxd.workers.engine.inbox import Cancel, Inbox, Submit
from mlxd.workers.engine.request import FinishReason, GenerateRequest, TokenOutput
from mlxd.workers.engine.sequence import Delivery
from mlxd.workers.engine.stats import BatchStats, Board, Speed
from mlxd.workers.engine.validate import Window

ASK = GenerateRequest(prompt=(1, 2, 3), max_tokens=5)


class Desk:
    """Hold an engine and the engine thread's ends of it."""

    def __init__(self, capacity: int = 10) -> None:
        self.inbox = Inbox()
        self.board = Board(4)
        self.engine = Engine(self.inbox, self.board, Window(100, 50), capacity=capacity)

    async def publish(self, *news: Delivery) -> None:
        """Hand over from another thread, as the loop does."""
        thread = threading.Thread(target=self.engine.publish, args=([*news],))
        thread.start()
        thread.join()
        await asyncio.sleep(0)


def token(uid: int, value: int, reason: FinishReason | None = None) -> Delivery:
    return Delivery(uid, (TokenOutput(value, reason),))


async def test_all_tokens_since_the_last_look_come_together_and_in_order() -> None:
    desk = Desk()
    generation = desk.engine.submit(ASK)
    assert desk.inbox.take() == [Submit(generation.uid, ASK)]
    await desk.publish(token(generation.uid, 7))
    await desk.publish(token(generation.uid, 8))
    assert [output.token for output in await anext(generation)] == [7, 8]
    await desk.publish(token(generation.uid, 9, FinishReason.LENGTH))
    assert [[output.token for output in news] async for news in generation] == [[9]]


async def test_a_reader_that_waits_is_woken_by_a_token() -> None:
    desk = Desk()
    generation = desk.engine.submit(ASK)
    reader = asyncio.create_task(anext(generation))
    await asyncio.sleep(0)
    await desk.publish(token(generation.uid, 7))
    assert [output.token for output in await reader] == [7]


async def test_each_row_gets_its_own_tokens() -> None:
    desk = Desk()
    a, b = desk.engine.submit(ASK), desk.engine.submit(ASK)
    await desk.publish(token(a.uid, 1), token(b.uid, 2))
    assert [(await anext(row))[0].token for row in (b, a)] == [2, 1]


async def test_an_error_comes_after_the_tokens_before_it() -> None:
    desk = Desk()
    generation = desk.engine.submit(ASK)
    await desk.publish(token(generation.uid, 7), Delivery(generation.uid, error=WorkerDied("gone")))
    assert (await anext(generation))[0].token == 7
    with pytest.raises(WorkerDied, match="gone"):
        await anext(generation)


async def test_cancelling_tells_the_engine_thread_once_and_ends_the_stream() -> None:
    desk = Desk()
    generation = desk.engine.submit(ASK)
    desk.inbox.take()
    generation.cancel()
    generation.cancel()
    assert desk.inbox.take() == [Cancel(generation.uid)]
    await desk.publish(token(generation.uid, 7))
    assert [news async for news in generation] == []


async def test_an_ended_row_is_not_cancelled() -> None:
    desk = Desk()
    generation = desk.engine.submit(ASK)
    await desk.publish(token(generation.uid, 7, FinishReason.STOP))
    desk.inbox.take()
    generation.cancel()
    assert desk.inbox.take() == []


async def test_beyond_its_capacity_the_engine_refuses_until_a_row_ends() -> None:
    """Promise B11."""
    desk = Desk(capacity=2)
    first, _ = desk.engine.submit(ASK), desk.engine.submit(ASK)
    with pytest.raises(QueueFull) as refused:
        desk.engine.submit(ASK)
    assert refused.value.retry_after is not None
    first.cancel()
    second = desk.engine.submit(ASK)
    await desk.publish(token(second.uid, 7, FinishReason.STOP))
    desk.engine.submit(ASK)


async def test_closing_fails_what_runs_and_what_comes() -> None:
    desk = Desk()
    generation = desk.engine.submit(ASK)
    closer = threading.Thread(target=desk.engine.close, args=(ShuttingDown("bye"),))
    closer.start()
    closer.join()
    with pytest.raises(ShuttingDown, match="bye"):
        await anext(generation)
    with pytest.raises(ShuttingDown, match="bye"):
        desk.engine.submit(ASK)


def test_closing_and_publishing_without_a_listener_is_no_error() -> None:
    desk = Desk()
    desk.engine.publish([token(1, 2)])
    desk.engine.close(ShuttingDown("bye"))


def test_tokens_for_an_event_loop_that_has_ended_are_dropped() -> None:
    desk = Desk()

    async def ask() -> None:
        desk.engine.submit(ASK)

    asyncio.run(ask())
    desk.engine.publish([token(1, 2)])


async def test_cached_tokens_are_known_with_the_first_token() -> None:
    desk = Desk()
    generation = desk.engine.submit(ASK)
    news = Delivery(generation.uid, (TokenOutput(7),), cached_tokens=2)
    await desk.publish(news)
    await anext(generation)
    assert generation.cached_tokens == 2


async def test_what_can_never_work_is_refused_before_it_is_queued() -> None:
    desk = Desk()
    with pytest.raises(InvalidRequest):
        desk.engine.submit(GenerateRequest(prompt=(), max_tokens=5))
    with pytest.raises(ContextLengthExceeded):
        desk.engine.submit(GenerateRequest(prompt=(1,) * 50, max_tokens=5))
    assert desk.inbox.take() == []


def test_stats_are_those_last_published() -> None:
    desk = Desk()
    desk.board.publish(BatchStats(steps=3, decode=2), Speed())
    assert (desk.engine.stats().steps, desk.engine.stats().decode) == (3, 2)


async def test_times_to_tokens_are_counted_where_they_arrive() -> None:
    desk = Desk()
    first, second = desk.engine.submit(ASK), desk.engine.submit(ASK)
    for value in range(4):
        await desk.publish(token(first.uid, value))
    await desk.publish(token(second.uid, 7, FinishReason.LENGTH))
    stats = desk.engine.stats()
    assert stats.first_token_seconds is not None and stats.inter_token_seconds is not None
    assert (stats.first_token_seconds.count, stats.inter_token_seconds.count) == (2, 3)
    assert len(stats.inter_token_seconds.counts) == len(stats.inter_token_seconds.bounds) + 1
    assert 0 < stats.inter_token_seconds.sum < 60
