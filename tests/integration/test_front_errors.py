"""Whatever is wrong with a request, the answer is a status and a body that the caller's own client can read."""

import tracemalloc
from collections.abc import AsyncIterator

import httpx
import pytest
from support.front import MODEL, running_front, spec

from mlxd.protocol.kinds import ModelKind

CHAT = "/v1/chat/completions"


def openai_error(response: httpx.Response) -> dict[str, object]:
    """Return the error after checking that it has OpenAI's shape."""
    error: dict[str, object] = response.json()["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    assert response.headers["content-type"] == "application/json"
    assert response.headers["x-request-id"]
    assert "Traceback" not in response.text
    return error


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"", None),
        (b"{", None),
        (b"null", None),
        (b"[]", None),
        (b'{"model": "\xff\xfe"}', None),
        (b'\xff{"model": "tiny"}', None),
        (b'{"model": "tiny"} trailing', None),
        (b'{"messages": []}', "model"),
        (b'{"model": ""}', "model"),
        (b'{"model": 7}', "model"),
        (b'{"model": null}', "model"),
        (b'{"model": ["tiny"]}', "model"),
        (b'{"model": "tiny", "stream": "yes"}', "stream"),
        (b'{"model": "tiny", "keep_alive": "soon"}', "keep_alive"),
        (b'{"model": "tiny", "keep_alive": {}}', "keep_alive"),
        (b"[" * 100_000, None),
        (b'{"model": "tiny", "messages": ' + b"[" * 100_000, None),
        (b'{"model": "tiny", "messages": ' + b'{"a":' * 100_000, None),
        (b'{"model": "tiny", "keep_alive": 1e999}', "keep_alive"),
        (b'{"model": "\\ud800"}', None),
    ],
)
async def test_a_malformed_body_is_a_400_that_names_the_field(body: bytes, field: str) -> None:
    async with running_front() as front:
        response = await front.client.post(CHAT, content=body)
        assert front.pool.asked == []
    error = openai_error(response)
    assert (response.status_code, error["code"], error["param"]) == (400, "invalid_request", field)


async def test_an_unknown_model_is_a_404_with_near_names() -> None:
    async with running_front() as front:
        response = await front.client.post(CHAT, json={"model": "tinny"})
    error = openai_error(response)
    assert (response.status_code, error["code"]) == (404, "model_not_found")
    assert MODEL in str(error["message"])


async def test_a_model_of_another_kind_is_a_400_that_names_it() -> None:
    async with running_front(spec("bge", kind=ModelKind.EMBEDDING)) as front:
        response = await front.client.post(CHAT, json={"model": "bge"})
    error = openai_error(response)
    assert (response.status_code, error["param"]) == (400, "model")
    assert "bge is of kind embedding" in str(error["message"])


async def test_a_model_that_cannot_be_served_says_why() -> None:
    async with running_front(spec("half", error="half: a weight file is missing")) as front:
        response = await front.client.post(CHAT, json={"model": "half"})
    error = openai_error(response)
    assert (response.status_code, error["code"]) == (503, "model_load_failed")
    assert error["message"] == "half: a weight file is missing"


async def test_a_declared_body_of_100_mb_is_a_413_and_never_in_memory() -> None:
    chunk = b" " * (1 << 20)

    async def body() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield chunk

    async with running_front(max_body=1 << 20) as front:
        tracemalloc.start()
        headers = {"content-length": str(100 << 20)}
        response = await front.client.post(CHAT, content=body(), headers=headers)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    error = openai_error(response)
    assert (response.status_code, error["code"]) == (413, "request_too_large")
    assert "104857600 bytes, at most 1048576" in str(error["message"])
    assert peak < 16 << 20


async def test_a_body_that_grows_too_large_is_a_413() -> None:
    async def body() -> AsyncIterator[bytes]:
        for _ in range(30):
            yield b" " * 100_000

    async with running_front(max_body=1_000_000) as front:
        response = await front.client.post(CHAT, content=body())
        again = await front.client.post(CHAT, json=front.chat())
    assert openai_error(response)["code"] == "request_too_large"
    assert again.status_code == 200


@pytest.mark.parametrize(
    ("path", "shape"),
    [
        ("/v1/nothing", {"error"}),
        ("/v1/models/", {"error"}),
        ("/v1/chat/completions/", {"error"}),
        ("/v1/messages/nothing", {"type", "error"}),
        ("/anthropic/v1/nothing", {"type", "error"}),
        ("/v1/responses/nothing", {"error"}),
        ("/api/nothing", {"error", "code"}),
    ],
)
async def test_an_unknown_path_is_a_404_in_the_dialect_of_the_path(
    path: str, shape: set[str]
) -> None:
    async with running_front() as front:
        response = await front.client.get(path)
    assert response.status_code == 404
    assert response.json().keys() == shape


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", CHAT, {"POST"}),
        ("DELETE", CHAT, {"POST"}),
        ("POST", "/v1/models", {"GET", "HEAD"}),
        ("PUT", "/health", {"GET", "HEAD"}),
    ],
)
async def test_a_wrong_method_is_a_405_that_names_the_right_ones(
    method: str, path: str, allowed: set[str]
) -> None:
    async with running_front() as front:
        response = await front.client.request(method, path)
        asked = await front.client.options(path)
    assert openai_error(response)["code"] == "method_not_allowed"
    assert set(response.headers["allow"].split(", ")) == allowed
    assert asked.status_code == 204
    assert set(asked.headers["allow"].split(", ")) == allowed


async def test_head_answers_as_get_without_a_body() -> None:
    async with running_front() as front:
        for path in ("/health", "/v1/models", "/v1/ps"):
            head, get = await front.client.head(path), await front.client.get(path)
            assert (head.status_code, head.content) == (200, b"")
            assert head.headers["content-length"] == get.headers["content-length"]


async def test_what_goes_wrong_inside_is_a_500_that_names_the_request_only() -> None:
    async with running_front() as front:
        front.pool.refusal = RuntimeError("a secret of the code")
        response = await front.client.post(
            CHAT, json=front.chat(), headers={"x-request-id": "mine"}
        )
        front.pool.refusal = None
        again = await front.client.post(CHAT, json=front.chat())
    error = openai_error(response)
    assert (response.status_code, error["code"]) == (500, "internal_error")
    assert "secret" not in response.text
    assert "mine" in str(error["message"])
    assert again.status_code == 200


@pytest.mark.parametrize("given", ["", "two words", "x" * 129, "a\tb", 'a"b'])
async def test_a_request_id_that_is_no_sane_word_is_replaced(given: str) -> None:
    async with running_front() as front:
        response = await front.client.get("/health", headers={"x-request-id": given})
    assert response.headers["x-request-id"] != given
    assert response.headers["x-request-id"].startswith("req-")


async def test_a_request_leaves_one_line_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="mlxd")
    async with running_front() as front:
        headers = {"x-request-id": "mine"}
        await front.client.post(CHAT, json=front.chat(), headers=headers)
        await front.client.get("/v1/ps", headers=headers)
        await front.client.post(CHAT, json={"model": "no such\nmodel"}, headers=headers)
    lines = [record.getMessage() for record in caplog.records if "id=mine" in record.getMessage()]
    assert len(lines) == 2, lines
    assert f"path={CHAT} model={MODEL} status=200" in lines[0]
    assert "first_byte_ms=" in lines[0]
    assert "status=404 error=model_not_found" in lines[1]
    assert all("\n" not in line for line in lines)
