"""A stream through the front: alive from accept to end in real events, numbered without a gap, never cleanly failed."""

import asyncio
import time
from typing import Any

import httpx
import openai
import pytest
from support.deadline import eventually
from support.front import ALIAS, MODEL
from support.openai_responses_calls import events, put_together
from support.responses_house import WITHIN, House, house

from mlxd.protocol.errors import InsufficientMemory, MlxdError, QueueFull, WorkerDied

INTERVAL = 0.05


async def test_a_stream_in_the_queue_gets_real_events_then_its_answer() -> None:
    async with house(gate=False, keepalive_interval=INTERVAL) as home:
        seen: list[Any] = []
        began = time.monotonic()
        async for event in await home.sdk.responses.create(model=ALIAS, input="hi", stream=True):
            seen.append(event)
            if len(seen) == 4:
                assert time.monotonic() - began >= INTERVAL
                home.pool.gate.set()
        kinds = [event.type.removeprefix("response.") for event in seen]
        assert kinds[:4] == ["created", "in_progress", "in_progress", "in_progress"]
        assert kinds[-1] == "completed"
        assert kinds.count("created") == 1
        assert [event.sequence_number for event in seen] == list(range(len(seen)))
        shown = [event.response for event in seen if hasattr(event, "response")]
        assert {response.id for response in shown} == {seen[0].response.id}
        # What we said of the response before is what the worker says of it.
        assert shown[0].to_dict() == shown[3].to_dict()
        assert shown[0].model == MODEL
        same = {"status", "output", "usage", "completed_at"}
        first, last = shown[0].to_dict(), shown[-1].to_dict()
        assert {k: v for k, v in first.items() if k not in same} == {
            k: v for k, v in last.items() if k not in same
        }


async def test_the_official_helper_takes_a_stream_that_waited() -> None:
    async with house(gate=False, keepalive_interval=INTERVAL) as home:
        async with home.sdk.responses.stream(model=ALIAS, input="hi") as stream:
            count = 0
            async for _ in stream:
                count += 1
                if count == 3:
                    home.pool.gate.set()
            final = await stream.get_final_response()
        assert final.output_text == "Hello, wörld 🙂"


async def test_a_worker_that_is_silent_long_says_so_itself() -> None:
    async with house(keepalive_interval=INTERVAL) as home:
        home.script.gate.clear()
        waiting, seen = 0, []
        async for event in await home.sdk.responses.create(model=ALIAS, input="hi", stream=True):
            seen.append(event.sequence_number)
            waiting += event.type == "response.in_progress"
            if waiting == 4:
                home.script.gate.set()
        assert seen == list(range(len(seen)))


async def test_a_fast_stream_is_the_worker_s_own() -> None:
    async with house() as home:
        put_together(await events(home.client, model=ALIAS))


@pytest.mark.parametrize("waited", [True, False])
@pytest.mark.parametrize(
    ("refusal", "status", "code"),
    [
        (QueueFull("256 requests wait already"), 429, "rate_limit_exceeded"),
        (InsufficientMemory(needed=3, free=2, budget=1), 503, "server_error"),
    ],
)
async def test_a_refusal_is_a_status_or_the_last_event(
    waited: bool, refusal: MlxdError, status: int, code: str
) -> None:
    async with house(gate=not waited, keepalive_interval=INTERVAL) as home:
        home.pool.refusal = refusal
        if not waited:
            body = {"model": ALIAS, "input": "hi", "stream": True}
            assert (await home.refused("POST", "/v1/responses", json=body))[0] == status
            return
        last = await last_event(home, stop_waiting=True)
        assert last.type == "response.failed"
        assert (last.response.error.code, last.response.error.type) == (code, refusal.code)
        assert last.response.status == "failed"


async def last_event(home: House, *, stop_waiting: bool) -> Any:
    """Return the last event of a stream that must not end well."""
    last: Any = None
    numbers: list[int] = []
    with pytest.raises((httpx.RemoteProtocolError, openai.APIConnectionError)):
        async for event in await home.sdk.responses.create(model=ALIAS, input="hi", stream=True):
            last = event
            numbers.append(event.sequence_number)
            if stop_waiting:
                home.pool.gate.set()
    assert numbers == list(range(len(numbers)))
    return last


async def test_a_late_refusal_of_the_worker_is_the_last_event() -> None:
    async with house(gate=False, keepalive_interval=INTERVAL) as home:
        last: Any = None
        with pytest.raises((httpx.RemoteProtocolError, openai.APIConnectionError)):
            async for event in await home.sdk.responses.create(
                model=ALIAS, input="x" * 5000, stream=True
            ):
                last = event
                home.pool.gate.set()
        assert last.type == "response.failed"
        assert last.response.error.code == "context_length_exceeded"


async def test_a_row_that_fails_ends_its_stream_with_the_items_it_had() -> None:
    async with house() as home:
        home.script.says("<think>hm</think>Aha.")
        home.script.fail_after = (6, WorkerDied("the device is gone"))
        stream = await events(home.client, model=ALIAS)
        assert stream[-1]["type"] == "response.failed"
        failed = stream[-1]["response"]
        assert failed["error"]["message"] == "the device is gone"
        assert failed["status"] == "failed"
        assert [item["type"] for item in failed["output"]] == ["reasoning"]


async def test_a_worker_that_dies_ends_its_stream_with_a_failed_response() -> None:
    async with house() as home:
        home.script.gate.clear()
        last: Any = None
        with pytest.raises((httpx.RemoteProtocolError, openai.APIConnectionError)):
            async for event in await home.sdk.responses.create(
                model=ALIAS, input="hi", stream=True
            ):
                last = event
                if event.type == "response.in_progress":
                    home.pool.fail_leases(WorkerDied("the worker was killed by SIGKILL"))
        assert last.type == "response.failed"
        assert last.sequence_number == 2
        assert "SIGKILL" in last.response.error.message


@pytest.mark.parametrize("stream", [True, False])
async def test_a_client_that_leaves_takes_its_row_along(stream: bool) -> None:
    async with house() as home:
        home.script.gate.clear()
        body = {"model": ALIAS, "input": "hi", "stream": stream}

        async def ask() -> None:
            async with home.client.stream("POST", "/v1/responses", json=body) as response:
                await response.aread()

        asking = asyncio.create_task(ask())
        await eventually(lambda: bool(home.script.seen), within=WITHIN, what="the row")
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        await eventually(lambda: bool(home.script.cancelled), within=WITHIN, what="the end")
        await eventually(lambda: not home.pool.leases, within=WITHIN, what="the lease to end")


async def test_a_second_worker_goes_on_where_the_first_had_said_nothing_yet() -> None:
    async with house() as home:
        home.script.gate.clear()
        seen: list[Any] = []
        async for event in await home.sdk.responses.create(model=ALIAS, input="hi", stream=True):
            seen.append(event)
            if len(seen) == 2:
                home.pool.fail_leases(WorkerDied("killed by SIGKILL", may_retry=True))
                await eventually(
                    lambda: len(home.script.seen) == 2, within=WITHIN, what="the second try"
                )
                home.script.gate.set()
        kinds = [event.type.removeprefix("response.") for event in seen]
        assert kinds[:4] == ["created", "in_progress", "in_progress", "output_item.added"]
        assert kinds[-1] == "completed"
        assert [event.sequence_number for event in seen] == list(range(len(seen)))
        assert len(home.script.seen) == 2


async def test_the_head_tells_how_long_a_request_waited() -> None:
    async with house() as home:
        body = {"model": ALIAS, "input": "hi"}
        answer = await home.client.post("/v1/responses", json=body)
        assert int(answer.headers["x-mlxd-queued-ms"]) >= 0
