"""Each request is one account: what it used, how fast, and whether its client stayed."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack

import pytest
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import Message

from mlxd.protocol.control import ACCOUNT, KEY, QUEUED, REQUEST, Used
from mlxd.protocol.errors import QueueFull
from mlxd.workers.api import app as apps
from mlxd.workers.api.errors import foreseen
from mlxd.workers.api.wire import ClientGone, EventStream, unless_gone
from mlxd.workers.engine import account
from mlxd.workers.engine.account import Account

PROMPT = (1, 2, 3)


async def answer(request: Request) -> Response:
    """Use some tokens."""
    owner = account.current()
    owner.read(PROMPT)
    owner.read(PROMPT)
    owner.output_tokens += 2
    return PlainTextResponse("done")


async def wait(request: Request) -> Response:
    """Never come to an end."""
    account.current().read(PROMPT)
    await request.body()
    await unless_gone(request, asyncio.Event().wait)
    raise ClientGone


async def refuse(request: Request) -> Response:
    """Use something and refuse all the same."""
    account.current().read(PROMPT)
    raise QueueFull("not now")


async def fail(request: Request) -> Response:
    """Begin well and end badly."""
    account.current().read(PROMPT)

    async def frames() -> AsyncGenerator[bytes]:
        yield b"data: 1\n\n"
        yield foreseen(RuntimeError("it broke"), "/fail").code.encode()

    return EventStream(frames(), AsyncExitStack())


async def nothing(request: Request) -> Response:
    """Use nothing."""
    return PlainTextResponse("done")


async def reported(path: str, headers: dict[str, str], *, leaves: bool = False) -> list[Used]:
    """Return what is reported of one request."""
    app = apps.of_routes(
        [Route(f"/{f.__name__}", f) for f in (answer, wait, refuse, fail, nothing)]
    )
    said: list[Used] = []
    app.state.report = said.append
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "method": "GET", "path": path, "headers": raw, "query_string": b""}
    given = iter([{"type": "http.request", "body": b""}])

    async def receive() -> Message:
        if (message := next(given, None)) is not None:
            return message
        if not leaves:
            await asyncio.Event().wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        await asyncio.sleep(0)

    await app(scope, receive, send)
    return said


async def test_a_request_is_reported_once_with_its_key_and_its_prompt_counted_once() -> None:
    (used,) = await reported("/answer", {ACCOUNT: "id", KEY: "laptop"})
    assert used == Used("id", 3, 2, key="laptop")


async def test_what_nobody_pays_for_is_reported_if_it_used_something() -> None:
    assert await reported("/answer", {}) == [Used("", 3, 2)]
    assert await reported("/nothing", {}) == []
    assert await reported("/nothing", {ACCOUNT: "id"}) == [Used("id", 0, 0)]


async def test_a_request_that_somebody_follows_is_reported_under_its_number() -> None:
    assert await reported("/answer", {REQUEST: "7"}) == [Used("", 3, 2, request=7)]
    assert await reported("/nothing", {REQUEST: "8"}) == [Used("", 0, 0, request=8)]
    assert await reported("/nothing", {REQUEST: "-8"}) == []


async def test_an_error_after_a_good_beginning_is_reported() -> None:
    (failed,) = await reported("/fail", {})
    assert failed.error == "internal_error" and not failed.is_cancelled
    (refused,) = await reported("/refuse", {})
    assert refused == Used("", 3, 0)


async def test_a_client_that_leaves_before_the_end_is_noted() -> None:
    (used,) = await reported("/wait", {ACCOUNT: "id"}, leaves=True)
    assert used.is_cancelled and used.input_tokens == 3


@pytest.mark.parametrize(
    ("header", "waited"), [("3000000000", 3.0), ("", 0.0), ("-5", 0.0), ("9" * 400, 0.0)]
)
def test_the_first_token_counts_from_the_arrival_at_the_daemon(header: str, waited: float) -> None:
    owner = Account.of(Headers({QUEUED: header}))
    owner.began_answer(owner.began + waited + 0.5)
    owner.began_answer(owner.began + 99)
    assert owner.used().first_token == pytest.approx(waited + 0.5)
