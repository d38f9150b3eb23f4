"""Web pages from elsewhere and callers without the key get nothing (promise K6)."""

import pytest
from support.front import running_front

EVERY_ROUTE = [
    ("GET", "/v1/models"),
    ("GET", "/v1/models/org/tiny"),
    ("GET", "/v1/ps"),
    ("GET", "/v1/ready"),
    ("GET", "/v1/queue/stats"),
    ("GET", "/v1/batch/stats"),
    ("POST", "/v1/models/load"),
    ("POST", "/v1/models/unload"),
    ("POST", "/v1/chat/completions"),
    ("POST", "/v1/completions"),
    ("GET", "/v1/nothing"),
    ("POST", "/health"),
]


@pytest.mark.parametrize(
    "host",
    ["localhost", "localhost:10240", "127.0.0.1:1", "LOCALHOST", "host.docker.internal:10240"],
)
async def test_an_allowed_host_is_let_in_on_any_port(host: str) -> None:
    async with running_front() as front:
        response = await front.client.get("/v1/models", headers={"host": host})
    assert response.status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example:80", "", "[::1", "@"]
)
@pytest.mark.parametrize("path", ["/health", "/v1/models", "/v1/nothing"])
async def test_a_foreign_host_is_refused_everywhere(host: str, path: str) -> None:
    async with running_front() as front:
        response = await front.client.get(path, headers={"host": host})
    assert response.status_code == 403
    assert response.json()["error"]["code"] == "forbidden_host"


async def test_the_address_we_listen_on_is_an_allowed_host() -> None:
    async with running_front(host="192.168.7.7", api_key="k") as front:
        mine = await front.client.get("/health", headers={"host": "192.168.7.7:10240"})
        other = await front.client.get("/health", headers={"host": "192.168.7.8:10240"})
    assert (mine.status_code, other.status_code) == (200, 403)


async def test_an_ipv6_host_is_compared_without_brackets() -> None:
    async with running_front(allowed_hosts=("::1", "[fe80::1]")) as front:
        for host in ("[::1]:10240", "[fe80::1]"):
            response = await front.client.get("/health", headers={"host": host})
            assert response.status_code == 200


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://localhost:3000", 200),
        ("https://127.0.0.1", 200),
        ("http://app.example", 200),
        ("http://app.example:81", 403),
        ("https://evil.example", 403),
        ("http://localhost.evil.example", 403),
        ("null", 403),
        ("", 403),
    ],
)
async def test_an_origin_must_be_an_allowed_host_or_listed(origin: str, status: int) -> None:
    async with running_front(cors_origins=("http://app.example",)) as front:
        response = await front.client.post(
            "/v1/chat/completions", json=front.chat(), headers={"origin": origin}
        )
        assert len(front.pool.asked) == (status == 200)
    assert response.status_code == status
    shared = response.headers.get("access-control-allow-origin")
    assert shared == (origin if origin == "http://app.example" else None)


async def test_a_listed_origin_may_ask_beforehand_without_the_key_and_read_refusals() -> None:
    async with running_front(cors_origins=("http://app.example",), api_key="k") as front:
        headers = {
            "origin": "http://app.example",
            "access-control-request-method": "POST",
            "access-control-request-headers": "authorization,content-type",
        }
        asked = await front.client.options("/v1/chat/completions", headers=headers)
        refused = await front.client.post("/v1/chat/completions", headers=headers)
    assert asked.status_code == 204
    assert asked.headers["access-control-allow-origin"] == "http://app.example"
    assert asked.headers["access-control-allow-headers"] == "authorization,content-type"
    assert "POST" in asked.headers["access-control-allow-methods"]
    assert refused.status_code == 401
    assert refused.headers["access-control-allow-origin"] == "http://app.example"


async def test_an_origin_that_is_not_listed_may_not_ask_beforehand() -> None:
    async with running_front() as front:
        headers = {"origin": "http://app.example", "access-control-request-method": "POST"}
        response = await front.client.options("/v1/chat/completions", headers=headers)
    assert response.status_code == 403


async def test_a_star_lists_every_origin() -> None:
    async with running_front(cors_origins=("*",)) as front:
        headers = {"origin": "https://any.example"}
        response = await front.client.get("/v1/models", headers=headers)
    assert response.headers["access-control-allow-origin"] == "https://any.example"
    assert response.headers["vary"] == "Origin"


@pytest.mark.parametrize(("method", "path"), EVERY_ROUTE)
async def test_with_a_key_set_nothing_but_health_answers_without_it(method: str, path: str) -> None:
    async with running_front(api_key="the key") as front:
        without = await front.client.request(method, path)
        wrong = await front.client.request(method, path, headers={"x-api-key": "another"})
        near = await front.client.request(method, path, headers={"x-api-key": "the kex"})
        odd = await front.client.request(method, path, headers={b"x-api-key": b"\xff"})
        health = await front.client.get("/health")
    for response in (without, wrong, near, odd):
        assert response.status_code == 401
        assert response.json()["error"]["code"] == "invalid_api_key"
        assert response.headers["www-authenticate"] == "Bearer"
    assert "another" not in wrong.text
    assert health.status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": "Bearer the key"},
        {"authorization": "bearer  the key"},
        {"x-api-key": "the key"},
        {"authorization": "Basic x", "x-api-key": "the key"},
    ],
)
async def test_the_key_is_taken_as_bearer_token_and_as_x_api_key(headers: dict[str, str]) -> None:
    async with running_front(api_key="the key") as front:
        response = await front.client.get("/v1/models", headers=headers)
    assert response.status_code == 200


async def test_a_refusal_speaks_the_dialect_of_the_path() -> None:
    async with running_front(api_key="k") as front:
        response = await front.client.get("/anthropic/v1/models")
    assert response.json()["error"]["type"] == "authentication_error"
