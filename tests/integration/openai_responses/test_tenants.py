"""What one key made, and what was computed for it, is nobody else's."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from support.deadline import eventually
from support.front import ALIAS, settings
from support.responses_house import WITHIN, House, house

from mlxd.protocol.errors import RateLimited
from mlxd.protocol.keys import KeyRequest
from mlxd.supervisor.access.access import Access
from mlxd.supervisor.access.quota import Shares
from mlxd.supervisor.responses.database import Database, Record


class Keys:
    """Hold keys and show them."""

    def __init__(self) -> None:
        self.access = Access(settings().server)
        self._keys: dict[str, str] = {}

    def add(self, name: str, **limits: Any) -> str:
        """Make a key and return its id."""
        made = self.access.keys.add(KeyRequest(name=name, **limits))
        self._keys[name] = made.key
        return made.info.id

    def of(self, name: str) -> dict[str, str]:
        """Return the headers by which a key is shown."""
        return {"authorization": f"Bearer {self._keys[name]}"}


async def made(home: House, headers: dict[str, str], path: str, **body: Any) -> str:
    answer = await home.client.post(path, json=body, headers=headers)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["id"])


async def test_a_stored_response_is_there_for_the_key_that_made_it_only() -> None:
    keys = Keys()
    keys.add("a")
    keys.add("b", rights=("admin",))
    async with house(access=keys.access) as home:
        mine = await made(home, keys.of("a"), "/v1/responses", model=ALIAS, input="secret")
        talk = await made(
            home, keys.of("a"), "/v1/conversations", items=[{"role": "user", "content": "x"}]
        )
        items = await home.client.get(f"/v1/conversations/{talk}/items", headers=keys.of("a"))
        item = items.json()["data"][0]["id"]
        one = f"/v1/responses/{mine}"
        theirs = [
            ("GET", one), ("GET", f"{one}/input_items"), ("POST", f"{one}/cancel"), ("DELETE", one),
            ("GET", f"/v1/conversations/{talk}"), ("POST", f"/v1/conversations/{talk}"),
            ("GET", f"/v1/conversations/{talk}/items"), ("POST", f"/v1/conversations/{talk}/items"),
            ("GET", f"/v1/conversations/{talk}/items/{item}"),
            ("DELETE", f"/v1/conversations/{talk}/items/{item}"), ("DELETE", f"/v1/conversations/{talk}"),
        ]  # fmt: skip
        for method, path in theirs:
            body: dict[str, Any] = (
                {"json": {"items": []}} if path.endswith("items") and method == "POST" else {}
            )
            answer = await home.client.request(method, path, headers=keys.of("b"), **body)
            assert answer.status_code == 404, (method, path, answer.text)
        for reference in (
            {"previous_response_id": mine},
            {"conversation": talk},
            {"input": [{"type": "item_reference", "id": item}]},
        ):
            asked: dict[str, Any] = {"model": ALIAS, "input": "hi", **reference}
            answer = await home.client.post("/v1/responses", json=asked, headers=keys.of("b"))
            assert answer.status_code == 404, (reference, answer.text)
        assert (await home.client.get(one, headers=keys.of("a"))).status_code == 200
        kept = await home.client.get(f"/v1/conversations/{talk}/items/{item}", headers=keys.of("a"))
        assert kept.status_code == 200


async def test_a_background_response_is_its_keys_and_takes_one_of_its_places_until_it_ends() -> (
    None
):
    keys = Keys()
    keys.add("a", max_in_flight=1)
    keys.add("b")
    async with house(access=keys.access, gate=False) as home:
        body = {"model": ALIAS, "input": "hi", "background": True}
        one = f"/v1/responses/{await made(home, keys.of('a'), '/v1/responses', **body)}"
        more = await home.client.post("/v1/responses", json=body, headers=keys.of("a"))
        assert (more.status_code, more.json()["error"]["code"]) == (429, "rate_limited")
        for method, path in (("GET", one), ("POST", f"{one}/cancel"), ("DELETE", one)):
            other = await home.client.request(method, path, headers=keys.of("b"))
            assert other.status_code == 404
        home.pool.gate.set()

        async def status() -> int:
            answer = await home.client.get(one, headers=keys.of("a"))
            return answer.status_code

        async with asyncio.timeout(WITHIN):
            while await status() != 200:  # until its place is free again
                pass


async def test_tokens_are_charged_to_the_key_as_the_worker_counts_them() -> None:
    keys = Keys()
    mine = keys.add("a", tokens_per_minute=1000)
    async with house(access=keys.access) as home:
        answer = await home.client.post(
            "/v1/chat/completions",
            json={"model": ALIAS, "messages": [{"role": "user", "content": "hi"}], "n": 2},
            headers=keys.of("a") | {"x-mlxd-account": "somebody else"},
        )
        (used,) = await eventually(lambda: home.used)
    usage = answer.json()["usage"]
    assert (used.account, used.input_tokens) == (mine, usage["prompt_tokens"])
    assert usage["completion_tokens"] <= used.output_tokens <= usage["completion_tokens"] + 2
    quota = keys.access.quotas.of(mine, Shares(tokens_per_minute=used.input_tokens))
    keys.access.charge("m", used)
    with pytest.raises(RateLimited, match="tokens per minute"):
        quota.admit()


async def test_what_nobody_pays_for_is_counted_under_no_account() -> None:
    async with house() as home:
        await home.respond()
        (used,) = await eventually(lambda: home.used)
    assert (used.account, used.key) == ("", "") and used.input_tokens > 0


@pytest.mark.parametrize("isolate", [True, False])
async def test_a_key_that_asks_for_it_shares_no_prompts(isolate: bool) -> None:
    keys = Keys()
    ids = [keys.add(name, isolate_cache=isolate) for name in ("a", "b")]
    async with house(access=keys.access) as home:
        for name in ("a", "b"):
            await made(home, keys.of(name), "/v1/responses", model=ALIAS, input="hi")
        salts = [request.tenant for request in home.script.seen]
    assert salts == (ids if isolate else ["", ""])


def test_a_file_of_the_version_before_keys_is_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "responses.db"
    old = Database(path, max_stored=10, max_bytes=10_000)
    old.save(Record(id="r", body=b"{}", status="completed"))
    old._db.executescript("ALTER TABLE kept DROP COLUMN tenant; PRAGMA user_version = 1;")
    old.close()
    fresh = Database(path, max_stored=10, max_bytes=10_000)
    assert fresh.response("r") == b"{}"
    fresh.tenant = "key_1"
    assert fresh.response("r") is None
    fresh.close()
