"""Responses that are made while nobody waits."""

import asyncio
import sqlite3
from pathlib import Path
from typing import Any

import msgspec
import openai
import pytest
from support.deadline import eventually
from support.front import ALIAS
from support.responses_house import WITHIN, House, house

from mlxd.protocol.errors import InsufficientMemory, WorkerDied

QUEUED = {"background": True}


async def ended(home: House, response_id: str) -> Any:
    """Poll until a response has ended."""
    async with asyncio.timeout(WITHIN):
        while True:
            found = (await home.client.get(f"/v1/responses/{response_id}")).json()
            if found["status"] not in ("queued", "in_progress"):
                return found


async def test_a_background_response_goes_from_queued_to_completed() -> None:
    async with house(gate=False) as home:
        home.script.gate.clear()
        sent = await home.respond(**QUEUED, input="one")
        assert (sent["status"], sent["output"], sent["background"]) == ("queued", [], True)
        listed = await home.sdk.responses.input_items.list(sent["id"])
        assert len(listed.data) == 1
        home.pool.gate.set()
        async with asyncio.timeout(WITHIN):
            while (await home.sdk.responses.retrieve(sent["id"])).status != "in_progress":
                pass
        home.script.gate.set()
        found = await ended(home, sent["id"])
        assert found["status"] == "completed"
        assert found["id"] == sent["id"]
        assert found["output"][0]["content"][0]["text"] == "Hello, wörld 🙂"
        await home.respond(input="two", previous_response_id=sent["id"])
        assert "user\none<|im_end|>" in home.prompt()


@pytest.mark.parametrize("running", [True, False])
async def test_a_background_response_can_be_cancelled(running: bool) -> None:
    async with house(gate=running) as home:
        home.script.gate.clear()
        sent = await home.respond(**QUEUED)
        if running:
            await eventually(lambda: bool(home.script.seen), within=WITHIN, what="the row")
        else:
            await eventually(lambda: home.pool.waiting == 1, within=WITHIN, what="the wait")
        cancelled = await home.sdk.responses.cancel(sent["id"])
        assert cancelled.status == "cancelled"
        if running:
            await eventually(lambda: bool(home.script.cancelled), within=WITHIN, what="the end")
        assert home.pool.waiting == 0
        assert (await home.sdk.responses.cancel(sent["id"])).status == "cancelled"
        assert (await home.sdk.responses.retrieve(sent["id"])).status == "cancelled"


async def test_nothing_goes_on_from_what_has_not_ended() -> None:
    async with house() as home:
        home.script.gate.clear()
        sent = await home.respond(**QUEUED)
        body = {"model": ALIAS, "input": "x", "previous_response_id": sent["id"]}
        status, error = await home.refused("POST", "/v1/responses", json=body)
        assert (status, error["param"]) == (400, "previous_response_id")


async def test_only_background_responses_can_be_cancelled() -> None:
    async with house() as home:
        sent = await home.respond()
        status, error = await home.refused("POST", f"/v1/responses/{sent['id']}/cancel")
        assert status == 400
        assert "background" in error["message"]
        assert (await home.refused("POST", "/v1/responses/resp_nobody/cancel"))[0] == 404
        done = await home.respond(**QUEUED)
        assert (await ended(home, done["id"]))["status"] == "completed"
        assert (await home.sdk.responses.cancel(done["id"])).status == "completed"


async def test_a_deleted_background_response_stops() -> None:
    async with house() as home:
        home.script.gate.clear()
        sent = await home.respond(**QUEUED)
        await eventually(lambda: bool(home.script.seen), within=WITHIN, what="the row")
        await home.sdk.responses.delete(sent["id"])
        await eventually(lambda: bool(home.script.cancelled), within=WITHIN, what="the end")
        with pytest.raises(openai.NotFoundError):
            await home.sdk.responses.retrieve(sent["id"])


@pytest.mark.parametrize(
    ("refusal", "code", "kind"),
    [
        (InsufficientMemory(needed=3, free=2, budget=1), "server_error", "insufficient_memory"),
        (WorkerDied("gone"), "server_error", "worker_died"),
        (ValueError("a bug"), "server_error", "internal_error"),
    ],
)
async def test_what_fails_in_the_background_says_so_when_asked(
    refusal: Exception, code: str, kind: str
) -> None:
    async with house() as home:
        home.pool.refusal = refusal
        sent = await home.respond(**QUEUED)
        found = await ended(home, sent["id"])
        assert found["status"] == "failed"
        assert (found["error"]["code"], found["error"]["type"]) == (code, kind)


async def test_what_the_worker_refuses_fails_in_the_background_too() -> None:
    async with house() as home:
        sent = await home.respond(**QUEUED, input="x" * 5000)
        found = await ended(home, sent["id"])
        assert found["error"]["code"] == "context_length_exceeded"
        home.script.fail_after = (3, WorkerDied("the device is gone"))
        sent = await home.respond(**QUEUED)
        found = await ended(home, sent["id"])
        assert found["error"]["message"] == "the device is gone"
        assert len(found["output"]) == 0


async def test_events_can_be_followed_from_any_number_on() -> None:
    async with house(gate=False) as home:
        stream = await home.sdk.responses.create(
            model=ALIAS, input="hi", background=True, stream=True
        )
        first = [await anext(stream) for _ in range(2)]
        assert [event.type for event in first] == ["response.created", "response.queued"]
        response_id = first[0].response.id  # type: ignore[union-attr]
        await stream.close()  # its reader leaves, it goes on
        resumed = await home.sdk.responses.retrieve(response_id, stream=True, starting_after=0)
        home.pool.gate.set()
        events = [event async for event in resumed]
        assert [event.sequence_number for event in events] == list(range(1, len(events) + 1))
        assert events[-1].type == "response.completed"
        again = await home.sdk.responses.retrieve(response_id, stream=True)
        async with home.sdk.responses.stream(response_id=response_id) as helper:
            final = await helper.get_final_response()
        assert [event async for event in again][1:] == events
        assert final.output_text == "Hello, wörld 🙂"


async def test_readers_of_a_cancelled_response_are_let_go() -> None:
    async with house() as home:
        home.script.gate.clear()
        stream = await home.sdk.responses.create(
            model=ALIAS, input="hi", background=True, stream=True
        )
        seen = [await anext(stream) for _ in range(3)]
        await home.sdk.responses.cancel(seen[0].response.id)  # type: ignore[union-attr]
        rest = [event async for event in stream]
        assert rest[-1].type == "response.failed"
        assert rest[-1].response.status == "cancelled"


async def test_only_background_responses_have_events_to_follow() -> None:
    async with house() as home:
        sent = await home.respond()
        path = f"/v1/responses/{sent['id']}?stream=true"
        status, error = await home.refused("GET", path)
        assert (status, error["param"]) == (400, "stream")
        status, error = await home.refused("GET", path + "&starting_after=x")
        assert (status, error["param"]) == (400, "starting_after")


async def test_a_response_must_be_stored_to_be_made_in_the_background() -> None:
    async with house() as home:
        body = {"model": ALIAS, "input": "hi", "background": True, "store": False}
        status, error = await home.refused("POST", "/v1/responses", json=body)
        assert (status, error["param"]) == (400, "background")


async def test_what_a_daemon_left_behind_has_failed_when_the_next_one_looks(
    tmp_path: Path,
) -> None:
    file = tmp_path / "responses.db"
    async with house(file) as home:
        sent = await home.respond()
    with sqlite3.connect(file) as db:
        body = msgspec.json.encode(sent | {"status": "in_progress", "output": []})
        db.execute("UPDATE kept SET status = 'in_progress', body = ?", (body,))
    db.close()
    async with house(file) as home:
        found = (await home.client.get(f"/v1/responses/{sent['id']}")).json()
        assert found["status"] == "failed"
        assert found["error"]["type"] == "shutting_down"


async def test_a_daemon_that_leaves_ends_what_runs(tmp_path: Path) -> None:
    file = tmp_path / "responses.db"
    async with house(file) as home:
        home.script.gate.clear()
        sent = await home.respond(**QUEUED)
        await eventually(lambda: bool(home.script.seen), within=WITHIN, what="the row")
    async with house(file) as home:
        found = (await home.client.get(f"/v1/responses/{sent['id']}")).json()
        assert found["status"] == "cancelled"
