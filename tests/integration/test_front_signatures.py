"""A machine may sign its requests instead of sending its key; nothing it signed works twice or for anything else."""

import hashlib
import hmac
import json
import secrets
from typing import Any

import httpx
import pytest
from support.front import MODEL
from support.keyed_front import KeyedFront, code_of, keyed_front

from mlxd.supervisor.access import signature

PATH = "/v1/chat/completions"
BODY = json.dumps({"model": MODEL, "messages": []}).encode()


def signed(
    front: KeyedFront, key: str, body: bytes = BODY, path: str = PATH, **changes: Any
) -> dict[str, str]:
    """Sign a request as the README says."""
    claim = {
        "client": "robot", "timestamp": str(int(front.times.now)), "nonce": secrets.token_hex(16),
        "content-sha256": hashlib.sha256(body).hexdigest(),
    } | changes  # fmt: skip
    lines = ["mlxd-hmac-sha256", "POST", path, *claim.values()]
    secret = hashlib.sha256(key.encode()).digest()
    mark = hmac.new(secret, "\n".join(lines).encode(), "sha256").hexdigest()
    return {f"x-mlxd-{name}": value for name, value in (claim | {"signature": mark}).items()}


async def post(
    front: KeyedFront, headers: dict[str, str], body: bytes = BODY, path: str = PATH
) -> httpx.Response:
    return await front.client.post(path, content=body, headers=headers)


async def test_a_signed_request_is_answered_and_never_a_second_time() -> None:
    async with keyed_front() as front:
        key = front.key("robot", signed=True)
        headers = signed(front, key)
        first, second = await post(front, headers), await post(front, headers)
    assert first.status_code == 200
    assert (second.status_code, code_of(second)) == (401, "invalid_api_key")
    assert "received before" in second.text
    assert len(front.worker.seen) == 1


async def test_a_rotated_key_signs_until_its_grace_is_over() -> None:
    async with keyed_front() as front:
        old = front.key("robot", signed=True)
        fresh = front.access.keys.rotate("robot", "1m").key
        assert (await post(front, signed(front, old))).status_code == 200
        assert (await post(front, signed(front, fresh))).status_code == 200
        front.times.now += 60
        assert code_of(await post(front, signed(front, old))) == "invalid_api_key"
        assert (await post(front, signed(front, fresh))).status_code == 200


async def test_no_part_of_a_signed_request_can_be_changed() -> None:
    async with keyed_front() as front:
        key = front.key("robot", signed=True)
        other = json.dumps({"model": MODEL, "messages": [{}]}).encode()
        assert code_of(await post(front, signed(front, key), other)) == "invalid_api_key"
        assert (
            code_of(await post(front, signed(front, key), path=f"{PATH}?a=1")) == "invalid_api_key"
        )
        assert (
            code_of(await post(front, signed(front, key), path="/v1/messages")) == "invalid_api_key"
        )
        for name in (signature.CLIENT, signature.TIMESTAMP, signature.NONCE, signature.DIGEST):
            headers = signed(front, key)
            headers[name] = headers[name][:-1] + ("1" if headers[name][-1] != "1" else "2")
            assert code_of(await post(front, headers)) == "invalid_api_key", name
        assert front.worker.seen == []
        asked = await post(front, signed(front, key, path=f"{PATH}?a=1"), path=f"{PATH}?a=1")
    assert asked.status_code == 200


@pytest.mark.parametrize(
    ("off", "status"), [(-301, 401), (-299, 401), (0, 200), (299, 200), (301, 401)]
)
async def test_the_time_must_be_near_the_daemons_and_after_its_start(off: int, status: int) -> None:
    async with keyed_front() as front:
        key = front.key("robot", signed=True)
        stamp = str(int(front.times.now + off))
        response = await post(front, signed(front, key, timestamp=stamp))
    assert response.status_code == status


@pytest.mark.parametrize("step", [-3600.0, 3600.0])
async def test_the_daemons_start_is_told_by_the_clock_as_it_was_set_since(step: float) -> None:
    """Regression: after a start with a wrong time, signed requests were refused until the clock had caught up."""
    async with keyed_front() as front:
        key = front.key("robot", signed=True)
        front.times.step(step)
        of_before = signed(front, key, timestamp=str(int(front.times.now) - 10))
        assert (await post(front, signed(front, key))).status_code == 200
        assert "before the daemon started" in (await post(front, of_before)).text


async def test_a_nonce_is_remembered_for_as_long_as_its_time_is_accepted() -> None:
    async with keyed_front() as front:
        key = front.key("robot", signed=True)
        early = signed(front, key, timestamp=str(int(front.times.now + 300)))
        assert (await post(front, early)).status_code == 200
        front.times.now += 600
        assert "received before" in (await post(front, early)).text
        front.times.now += 1
        assert "is more than 300 s" in (await post(front, early)).text


async def test_the_same_nonce_of_another_client_is_another_request() -> None:
    async with keyed_front() as front:
        for name in ("robot", "other"):
            key = front.key(name, signed=True)
            headers = signed(front, key, client=name, nonce="0123456789abcdef")
            assert (await post(front, headers)).status_code == 200


async def test_only_a_key_that_signs_may_sign_and_then_it_may_not_be_shown() -> None:
    async with keyed_front() as front:
        plain, robot = front.key("plain"), front.key("robot", signed=True)
        as_plain = await post(front, signed(front, plain, client="plain"))
        shown = await post(front, {"x-api-key": robot})
        unknown = await post(front, signed(front, robot, client="nobody"))
    assert [r.status_code for r in (as_plain, shown, unknown)] == [401, 401, 401]


@pytest.mark.parametrize(
    "changes",
    [{"timestamp": "now"}, {"timestamp": "-1"}, {"nonce": "short"}, {"content-sha256": "0"}],
)
async def test_a_header_of_another_form_is_named(changes: dict[str, Any]) -> None:
    async with keyed_front() as front:
        key = front.key("robot", signed=True)
        response = await post(front, signed(front, key, **changes))
    assert response.status_code == 401
    assert f"x-mlxd-{next(iter(changes))}" in response.text


async def test_a_signing_key_is_held_to_its_models_too() -> None:
    async with keyed_front() as front:
        key = front.key("robot", signed=True, models=("org/other",))
        response = await post(front, signed(front, key))
    assert code_of(response) == "model_not_allowed"
