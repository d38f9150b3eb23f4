"""The front speaks Anthropic: pings while a stream waits, a page of models at a time, counts without a model."""

from typing import Any

import pytest
from support.front import MODEL, Front, running_front, spec
from support.upstream_app import frame

from mlxd.protocol import sse
from mlxd.protocol.errors import ModelLoadFailed, QueueFull
from mlxd.protocol.kinds import ModelKind

INTERVAL = 0.05
PATHS = ["/v1/messages", "/anthropic/v1/messages"]
PING = sse.event(b'{"type":"ping"}', "ping")
END = sse.event(b'{"type":"message_stop"}', "message_stop")


def body(**fields: Any) -> dict[str, Any]:
    return {"model": MODEL, "max_tokens": 5, "messages": [], **fields}


@pytest.mark.parametrize("path", PATHS)
async def test_a_stream_that_waits_gets_events_its_clients_count(path: str) -> None:
    """G4: Claude Code gives up on a stream without events, comments it does not count."""
    async with running_front(gate=False, keepalive_interval=INTERVAL) as front:
        front.worker.steps = [END]
        async with front.client.stream("POST", path, json=body(stream=True)) as response:
            assert response.headers["content-type"].startswith("text/event-stream")
            chunks = response.aiter_raw()
            for _ in range(3):
                assert await anext(chunks) == PING
            front.pool.gate.set()
            rest = b"".join([chunk async for chunk in chunks])
    assert rest.replace(PING, b"") == END


async def test_a_refusal_after_pings_is_an_error_event_and_no_good_end() -> None:
    async with running_front(gate=False, keepalive_interval=INTERVAL) as front:
        front.pool.refusal = ModelLoadFailed("no weights")
        content = b""
        with pytest.raises(Exception, match="incomplete"):
            async with front.client.stream(
                "POST", "/v1/messages", json=body(stream=True)
            ) as response:
                async for chunk in response.aiter_raw():
                    content += chunk
                    front.pool.gate.set()
    name, told = list(sse.Parser().feed(content.replace(PING, b"")))[-1]
    assert name == "error"
    assert b'"type":"api_error"' in told and b"no weights" in told


@pytest.mark.parametrize("path", PATHS)
async def test_a_request_reaches_the_worker_as_it_came(path: str) -> None:
    async with running_front() as front:
        front.worker.steps = [frame("x")]
        headers = {"anthropic-beta": "claude-code-20250219", "anthropic-version": "2023-06-01"}
        sent = body(keep_alive="30m", metadata={"user_id": "u"})
        response = await front.client.post(f"{path}?beta=true", json=sent, headers=headers)
        assert response.status_code == 200
        assert response.headers["request-id"] == response.headers["x-request-id"]
        (seen,) = front.worker.seen
        assert (seen.path, seen.query) == (path, b"beta=true")
        assert front.pool.asked == [(MODEL, 1800.0)]


@pytest.mark.parametrize("path", PATHS)
async def test_a_count_waits_for_no_model(path: str) -> None:
    async with running_front(gate=False) as front:
        front.worker.headers = {"content-type": "application/json"}
        front.worker.steps = [b'{"input_tokens":7}']
        for stream in (False, True):
            sent = body(stream=stream)
            response = await front.client.post(f"{path}/count_tokens?beta=true", json=sent)
            assert response.json() == {"input_tokens": 7}
        assert front.pool.counted == [MODEL, MODEL]
        assert front.pool.asked == []


async def refusal(front: Front, path: str = "/v1/messages", **fields: Any) -> tuple[int, Any]:
    response = await front.client.post(path, json=body(**fields))
    told = response.json()
    assert told["type"] == "error"
    return response.status_code, told["error"]


async def test_a_name_of_a_hosted_model_is_refused_with_a_hint_how_to_alias_it() -> None:
    async with running_front() as front:
        for path in (*PATHS, "/v1/messages/count_tokens"):
            status, error = await refusal(front, path, model="claude-sonnet-4-5-20250929")
            assert (status, error["type"]) == (404, "not_found_error")
            assert 'aliases: ["claude-*"]' in error["message"]


async def test_refusals_have_the_statuses_that_clients_know() -> None:
    async with running_front(max_body=2000, api_key="k") as front:
        assert (await refusal(front))[0] == 401
        front.client.headers["x-api-key"] = "k"
        status, error = await refusal(front, system="x" * 3000)
        assert (status, error["type"]) == (413, "request_too_large")
        status, error = await refusal(front, model=5)
        assert (status, error["type"]) == (400, "invalid_request_error")
        front.pool.refusal = QueueFull("full", retry_after=3)
        status, error = await refusal(front)
        assert (status, error["type"]) == (429, "rate_limit_error")


NAMES = [f"org/m{number}" for number in range(5)]


async def test_the_models_are_listed_page_by_page() -> None:
    others = [spec("org/voice", kind=ModelKind.SPEECH), spec("org/broken", error="no weights")]
    async with running_front(*(spec(name) for name in NAMES), *others) as front:
        shown: list[str] = []
        query: dict[str, Any] = {"limit": 2}
        while True:
            page = (await front.client.get("/anthropic/v1/models", params=query)).json()
            shown += [model["id"] for model in page["data"]]
            assert (page["first_id"], page["last_id"]) == (shown[-len(page["data"])], shown[-1])
            if not page["has_more"]:
                break
            query["after_id"] = page["last_id"]
        assert shown == NAMES
        back = await front.client.get("/anthropic/v1/models", params={"before_id": NAMES[1]})
        assert [model["id"] for model in back.json()["data"]] == NAMES[:1]
        first = (await front.client.get("/anthropic/v1/models?beta=true")).json()["data"][0]
    assert first == {
        "type": "model",
        "id": NAMES[0],
        "display_name": NAMES[0],
        "created_at": "2023-11-14T22:13:20Z",
        "lifecycle": "active",
        "max_input_tokens": 2048,
        "max_tokens": 2048,
    }


async def test_one_model_is_described_by_id_or_alias() -> None:
    voice = spec("org/voice", kind=ModelKind.SPEECH)
    async with running_front(spec(), voice) as front:
        for name in (MODEL, "tiny"):
            response = await front.client.get(f"/anthropic/v1/models/{name}")
            assert response.json()["id"] == MODEL
        for name in ("nobody", "org/voice"):
            response = await front.client.get(f"/anthropic/v1/models/{name}")
            assert response.status_code == 404
            assert response.json()["error"]["type"] == "not_found_error"


@pytest.mark.parametrize("limit", ["0", "1001", "-1", "many", "", "9" * 99, "１"])
async def test_a_page_of_no_sensible_size_is_refused(limit: str) -> None:
    async with running_front() as front:
        response = await front.client.get("/anthropic/v1/models", params={"limit": limit})
        assert response.status_code == 400
        assert response.json()["error"]["message"].startswith("limit: ")
