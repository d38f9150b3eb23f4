"""Every route there is holds every caller to its key (promise K6)."""

import json

import pytest
from support.front import MODEL
from support.keyed_front import OTHER, keyed_front, routes_of

from mlxd.supervisor.access import rights

NAMELESS = {
    "GET /", "GET /api/ps", "GET /api/tags", "GET /api/version", "GET /anthropic/v1/models",
    "GET /v1/models", "GET /v1/ps", "GET /v1/ready", "GET /metrics", "GET /v1/events",
    "GET /v1/batch/stats", "GET /v1/queue/stats", "GET /v1/downloads", "GET /v1/keys", "POST /v1/keys",
    "DELETE /v1/keys/nobody", "POST /v1/keys/nobody/rotate", "POST /v1/models/pull",
    "GET /v1/audio/voices", "GET /v1/models/search", "POST /api/pull", "GET /v1/models/recommend", "GET /admin",
}  # fmt: skip
"""Routes that name no model of the catalogue; those of stored responses are not among them."""
OPEN = {
    "/health",
    "/admin",
    "/admin/admin.css",
    *(f"/admin/{name}.js" for name in ("admin", "api", "view", "words")),
}
"""What holds nothing that needs a key."""
STORED = ("/v1/responses/", "/v1/conversations")


async def test_a_missing_or_unknown_key_opens_nothing_but_health_and_the_page() -> None:
    async with keyed_front() as front:
        front.key()
        for method, path in routes_of(front.app):
            for key in (None, "wrong", "mlxd-", "\x7f"):
                response, code = await front.ask(method, path, key)
                expected = (200, None) if path in OPEN else (401, "invalid_api_key")
                assert (response.status_code, code) == expected, (method, path)
                assert key is None or key not in response.text if code else True


async def test_an_expired_key_opens_nothing() -> None:
    async with keyed_front() as front:
        key = front.key(expires_in="1h", rights=("admin",))
        assert (await front.ask("GET", "/v1/models", key))[1] is None
        front.times.now += 3600
        for method, path in routes_of(front.app):
            response, code = await front.ask(method, path, key)
            expected = (200, None) if path in OPEN else (401, "invalid_api_key")
            assert (response.status_code, code) == expected, (method, path)


async def test_a_key_that_has_used_up_its_share_is_told_when_to_come_back() -> None:
    async with keyed_front() as front:
        key = front.key(requests_per_minute=1, rights=("admin",))
        assert (await front.ask("GET", "/v1/ps", key))[1] is None
        for method, path in routes_of(front.app):
            if path in OPEN:
                continue
            response, code = await front.ask(method, path, key)
            assert (response.status_code, code) == (429, "rate_limited"), (method, path)
            assert response.headers["retry-after"] == "60"
        front.times.now += 60
        assert (await front.ask("GET", "/v1/ps", key))[1] is None


async def test_no_route_lets_a_key_have_another_tenants_model() -> None:
    async with keyed_front() as front:
        key = front.key(models=(OTHER,), rights=("admin",))
        for method, path in routes_of(front.app):
            if path in OPEN or path.startswith(STORED):
                continue
            response, code = await front.ask(method, path, key)
            if f"{method} {path}" in NAMELESS:
                assert code not in ("invalid_api_key", "permission_denied"), (method, path)
            else:
                assert (response.status_code, code) == (403, "model_not_allowed"), (method, path)
        assert not (front.pool.asked or front.pool.loads or front.pool.unloads)


async def test_every_route_answers_the_right_key() -> None:
    async with keyed_front() as front:
        key = front.key(rights=("admin",))
        for method, path in routes_of(front.app):
            response, code = await front.ask(method, path, key)
            assert response.status_code not in (401, 403, 429), (method, path, code)


@pytest.mark.parametrize("has", ["use", "watch"])
async def test_a_key_reaches_the_routes_of_its_rights_and_no_others(has: str) -> None:
    async with keyed_front() as front:
        key = front.key(rights=(has,))
        for method, path in routes_of(front.app):
            if path in OPEN:
                continue
            response, code = await front.ask(method, path, key)
            lacks = rights.needed(method, path) != has
            assert (code == "permission_denied") is lacks, (method, path, code)
            assert response.status_code == 403 or not lacks


async def test_what_does_not_exist_is_a_404_for_every_key_and_needs_one() -> None:
    async with keyed_front() as front:
        key = front.key()
        assert (await front.ask("GET", "/v1/nothing", key))[1] == "route_not_found"
        assert (await front.ask("PUT", "/v1/models/load", key))[1] == "method_not_allowed"
        assert (await front.ask("GET", "/v1/nothing", None))[1] == "invalid_api_key"


@pytest.mark.parametrize("header", ["host", "origin"])
async def test_a_foreign_host_or_origin_is_refused_on_every_route(header: str) -> None:
    async with keyed_front() as front:
        key = front.key(rights=("admin",))
        foreign = {header: "http://evil.example" if header == "origin" else "evil.example"}
        for method, path in [*routes_of(front.app), ("GET", "/v1/nothing"), ("PUT", "/health")]:
            headers = foreign | {"x-api-key": key}
            response = await front.client.request(method, path, headers=headers)
            assert response.status_code == 403, (method, path)
            assert "forbidden_host" in response.text
        assert not (front.folder / "audit.log").exists()


@pytest.mark.parametrize("path", ["/v1/models", "/anthropic/v1/models", "/api/tags"])
async def test_a_key_is_shown_its_models_only(path: str) -> None:
    async with keyed_front() as front:
        mine = await front.ask("GET", path, front.key("mine", models=("org/oth*",)))
        both = await front.client.get(path, headers={"x-api-key": front.key("all")})
        assert mine[1] is None
        shown = await front.client.get(path, headers={"x-api-key": front.key("x", models=(OTHER,))})
    assert MODEL in both.text and OTHER in both.text
    assert MODEL not in shown.text and OTHER in shown.text


async def test_an_unknown_model_does_not_name_another_tenants() -> None:
    async with keyed_front() as front:
        key = front.key(models=(OTHER,))
        response = await front.client.get("/v1/models/org/tinny", headers={"x-api-key": key})
    assert response.status_code == 404
    assert MODEL not in response.text


@pytest.mark.parametrize("allowed", [MODEL, "tiny", "ORG/T*", "t?ny"])
async def test_a_model_is_allowed_by_id_alias_or_pattern(allowed: str) -> None:
    async with keyed_front() as front:
        key = front.key(models=(allowed,))
        _, code = await front.ask("POST", "/v1/chat/completions", key)
        assert code is None
        body = {"model": OTHER, "messages": []}
        _, code = await front.ask("POST", "/v1/chat/completions", key, json=body)
    assert code == "model_not_allowed"


async def test_a_refusal_speaks_the_callers_dialect() -> None:
    async with keyed_front() as front:
        key = front.key(models=(OTHER,), requests_per_minute=3)
        openai, _ = await front.ask("POST", "/v1/chat/completions", key)
        anthropic, _ = await front.ask("POST", "/v1/messages", key)
        ollama, _ = await front.ask("POST", "/api/chat", key)
        limited, _ = await front.ask("POST", "/v1/messages", key)
    assert openai.json()["error"]["type"] == "permission_error"
    assert openai.json()["error"]["param"] == "model"
    assert anthropic.json()["error"]["type"] == "permission_error"
    assert isinstance(ollama.json()["error"], str)
    assert limited.json()["error"]["type"] == "rate_limit_error"


async def test_before_the_first_key_everybody_is_let_in_and_after_it_nobody_else() -> None:
    async with keyed_front() as front:
        assert (await front.ask("GET", "/v1/models", None))[1] is None
        assert (await front.ask("GET", "/v1/models", "whatever"))[1] is None
        made = await front.client.post("/v1/keys", json={"name": "first", "rights": ["admin"]})
        assert made.status_code == 201
        assert (await front.ask("GET", "/v1/models", "whatever"))[1] == "invalid_api_key"
        assert (await front.ask("GET", "/v1/models", made.json()["key"]))[1] is None


async def test_beyond_loopback_a_key_is_needed_even_when_the_last_was_revoked() -> None:
    async with keyed_front(host="192.168.7.7", allowed_hosts=("127.0.0.1",)) as front:
        assert (await front.ask("GET", "/v1/models", None))[1] == "invalid_api_key"
        assert (await front.ask("GET", "/v1/models", "own"))[1] is None


async def test_the_settings_key_works_beside_the_others_and_may_do_everything() -> None:
    async with keyed_front(api_key="the old one") as front:
        front.key()
        for method, path in routes_of(front.app):
            response, _ = await front.ask(method, path, "the old one")
            assert response.status_code not in (401, 403, 429), (method, path)


async def test_admin_actions_are_written_down_with_who_what_and_how_it_ended() -> None:
    async with keyed_front() as front:
        admin, user = front.key("ops", rights=("admin",)), front.key("app")
        await front.ask("POST", "/v1/models/load", admin)
        await front.ask("POST", "/v1/models/unload", user)
        await front.ask("POST", "/v1/models/load", admin, json={"model": "nobody"})
        made = await front.client.post(
            "/v1/keys", json={"name": "new"}, headers={"x-api-key": admin, "x-request-id": "r-1"}
        )
        await front.ask("POST", "/v1/chat/completions", user)
        await front.ask("GET", "/v1/keys", admin)
        text = (front.folder / "audit.log").read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    assert [(e["who"], e["what"], e.get("about"), e["result"]) for e in lines] == [
        ("ops", "POST /v1/models/load", MODEL, "ok"),
        ("app", "POST /v1/models/unload", None, "permission_denied"),
        ("ops", "POST /v1/models/load", None, "model_not_found"),
        ("ops", "POST /v1/keys", "new", "ok"),
    ]
    assert lines[3]["request"] == "r-1" and lines[3]["status"] == 201
    for secret in (admin, user, made.json()["key"]):
        assert secret not in text


async def test_a_rotated_key_opens_what_it_did_until_its_grace_is_over() -> None:
    """Given a key that is rotated with a grace, then both are one tenant, with one share, until the old one ends."""
    async with keyed_front() as front:
        front.key("admin", rights=("admin",))
        old = front.key("laptop", requests_per_minute=2, expires_in="1h")
        answer = await front.client.post(
            "/v1/keys/laptop/rotate", json={"grace": "2m"}, headers={"x-api-key": "own"}
        )
        assert answer.json()["info"]["old_until"] == front.times.now + 120
        fresh = answer.json()["key"]
        assert [(await front.ask("GET", "/v1/ps", key))[1] for key in (old, fresh, old)] == [
            None, None, "rate_limited",
        ]  # fmt: skip
        front.times.now += 120
        assert (await front.ask("GET", "/v1/ps", old))[1] == "invalid_api_key"
        assert (await front.ask("GET", "/v1/ps", fresh))[1] is None


@pytest.mark.parametrize(
    ("body", "field"),
    [({"grace": "soon"}, "grace"), ({"grace": "never"}, "grace"), ({"grave": 1}, "grave")],
)
async def test_a_wrong_grace_is_named_and_changes_nothing(body: dict[str, str], field: str) -> None:
    async with keyed_front() as front:
        key = front.key()
        answer = await front.client.post(
            "/v1/keys/laptop/rotate", json=body, headers={"x-api-key": "own"}
        )
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, field)
        assert (await front.ask("GET", "/v1/ps", key))[1] is None


@pytest.mark.parametrize("name", ["", "robot\n", "two words", "a" * 65, "é", "-a", "a\r\nx-b: c"])
async def test_a_name_that_is_no_word_makes_no_key(name: str) -> None:
    """Regression: one with a line end was taken, and each of its requests broke on its way to the worker."""
    async with keyed_front() as front:
        response = await front.client.post("/v1/keys", json={"name": name})
        assert (response.status_code, response.json()["error"]["param"]) == (400, "name")
        assert front.access.keys.ring().records == ()
