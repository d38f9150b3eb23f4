"""The front shows its metrics to whoever may watch, and strangers add nothing to them."""

import secrets
from collections.abc import Iterator
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as parse_openmetrics,
)
from prometheus_client.parser import text_string_to_metric_families as parse_text
from starlette.types import Message
from support.deadline import eventually
from support.front import MODEL, running_front
from support.keyed_front import OTHER, KeyedFront, keyed_front

Name = tuple[str, frozenset[tuple[str, str]]]
CHAT = "/v1/chat/completions"


async def scrape(front: KeyedFront, key: str) -> dict[Name, float]:
    """Return every sample."""
    answer = await front.client.get("/metrics", headers={"x-api-key": key})
    assert answer.status_code == 200
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in parse_text(answer.text)
        for sample in family.samples
    }


async def ask(front: KeyedFront, method: str, path: str, key: str, body: bytes) -> int:
    """Call the app itself, ten thousand times as fast as a connection would be made."""
    headers = [(b"host", b"localhost"), (b"x-api-key", key.encode())]
    scope: dict[str, Any] = {
        "type": "http", "method": method, "path": path, "raw_path": path.encode(),
        "query_string": b"", "headers": headers, "http_version": "1.1", "scheme": "http",
        "server": ("localhost", 80), "client": ("127.0.0.1", 1), "state": {},
    }  # fmt: skip
    incoming = iter([{"type": "http.request", "body": body, "more_body": False}])
    status = 0

    async def receive() -> Message:
        return next(incoming, {"type": "http.disconnect"})

    async def send(message: Message) -> None:
        nonlocal status
        status = message.get("status", status)

    await front.app(scope, receive, send)
    return status


def random_requests(key: str, count: int) -> Iterator[tuple[str, str, str, bytes]]:
    """Yield what scanners send: keys, models and paths that nobody knows."""
    for number in range(count):
        name = secrets.token_urlsafe(12)
        match number % 4:
            case 0:
                yield "POST", CHAT, name, b'{"model":"%s"}' % MODEL.encode()
            case 1:
                yield "POST", CHAT, key, b'{"model":"%s","messages":[]}' % name.encode()
            case 2:
                yield "GET", f"/{name}/metrics", key, b""
            case _:
                yield "GET", f"/v1/models/{name}", key, b""


async def test_ten_thousand_random_names_and_keys_add_no_series() -> None:
    async with keyed_front() as front:
        key, watch = front.key("laptop"), front.key("grafana", rights=("watch",))
        for _ in range(2):  # the first scrape counts itself only after it has been written
            for request in random_requests(key, 4):
                await ask(front, *request)
            before = await scrape(front, watch)
        statuses = {await ask(front, *request) for request in random_requests(key, 10_000)}
        after = await scrape(front, watch)
        assert statuses == {401, 404}
        assert after.keys() == before.keys()
        total = sum(value for (name, _), value in after.items() if name == "mlxd_requests_total")
        assert total == 10_000 + 8 + 2


async def test_a_key_that_is_revoked_takes_its_series_along() -> None:
    async with keyed_front() as front:
        front.worker.headers = {"content-type": "application/json"}
        watch = front.key("grafana", rights=("watch",))
        await scrape(front, watch)
        before = {name for name, _ in await scrape(front, watch)}
        assert (await front.ask("POST", CHAT, front.key("passing")))[1] is None
        await eventually(
            lambda: front.server.requests == 0
        )  # it left, which counts when it is noticed
        shown = await scrape(front, watch)
        assert any(("key", "passing") in labels for _, labels in shown)
        front.access.keys.revoke("passing")
        left = await scrape(front, watch)
        assert not any(("key", "passing") in labels for _, labels in left)
        assert {name for name, _ in left} == before


async def test_it_takes_the_right_to_watch() -> None:
    async with keyed_front() as front:
        allowed = front.key("grafana", rights=("watch",), models=(OTHER,))
        refused = front.key("laptop")
        assert (await front.ask("GET", "/metrics", allowed))[1] is None
        assert (await front.ask("GET", "/metrics", "own"))[1] is None
        assert (await front.ask("GET", "/metrics", refused))[1] == "permission_denied"
        assert (await front.ask("GET", "/metrics", None))[1] == "invalid_api_key"
        assert (await front.ask("POST", "/metrics", allowed))[1] == "method_not_allowed"


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        (None, "text/plain; version=0.0.4"),
        ("*/*", "text/plain; version=0.0.4"),
        ("text/plain", "text/plain; version=0.0.4"),
        ("application/openmetrics-text; version=1.0.0", "application/openmetrics-text; version=1"),
        ("application/openmetrics-text; version=99999999999999999999", "application/openmetrics"),
        ("application/openmetrics-text; version=x", "application/openmetrics"),
        (";;=,=;version=,", "text/plain"),
    ],
)
async def test_the_format_is_the_one_that_is_asked_for(accept: str | None, kind: str) -> None:
    async with running_front() as front:
        await front.client.post(CHAT, json=front.chat())
        headers = {} if accept is None else {"accept": accept}
        answer = await front.client.get("/metrics", headers=headers)
    assert answer.status_code == 200
    found = answer.headers["content-type"]
    assert found.startswith(kind)
    read: Any = parse_openmetrics if "openmetrics" in found else parse_text
    names = {sample.name for family in read(answer.text) for sample in family.samples}
    assert {"mlxd_requests_total", "mlxd_build_info", "mlxd_queue_wait_seconds_bucket"} <= names


async def test_a_refusal_by_the_worker_is_counted_by_its_code() -> None:
    async with running_front() as front:
        front.worker.status = 400
        front.worker.headers = {
            "content-type": "application/json",
            "x-mlxd-error": "invalid_request",
        }
        front.worker.steps = [b"{}"]
        answer = await front.client.post(CHAT, json=front.chat())
        page = (await front.client.get("/metrics")).text
    assert answer.status_code == 400 and "x-mlxd-error" not in answer.headers
    wanted = {
        "route": "chat",
        "status": "400",
        "code": "invalid_request",
        "model": MODEL,
        "key": "",
    }
    assert [
        sample.value
        for family in parse_text(page)
        for sample in family.samples
        if sample.name == "mlxd_requests_total" and sample.labels == wanted
    ] == [1]


async def test_a_scrape_asks_no_worker() -> None:
    async with running_front() as front:
        front.status.is_stuck = True  # whoever asks is never answered
        assert (await front.client.get("/metrics", timeout=10)).status_code == 200
        assert front.worker.seen == []
