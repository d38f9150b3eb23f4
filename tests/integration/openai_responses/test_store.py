"""What is kept of responses, and what later requests make of it."""

import json
from pathlib import Path
from typing import Any

import openai
import pytest
from support.front import ALIAS
from support.openai_responses_calls import CALL, FUNCTION
from support.responses_house import house


async def test_a_response_can_be_fetched_as_it_was_sent() -> None:
    async with house() as home:
        sent = await home.respond(metadata={"a": "b"})
        found = await home.client.get(f"/v1/responses/{sent['id']}")
        assert found.json() == sent
        assert sent["store"] is True


async def test_a_streamed_response_is_kept_before_its_last_event_is_out() -> None:
    async with house() as home:
        stream = await home.sdk.responses.create(model=ALIAS, input="hi", stream=True)
        async for event in stream:
            if event.type == "response.completed":
                found = await home.sdk.responses.retrieve(event.response.id)
                assert found == event.response


async def test_a_response_that_is_not_to_be_stored_is_not() -> None:
    async with house() as home:
        sent = await home.respond(store=False)
        status, error = await home.refused("GET", f"/v1/responses/{sent['id']}")
        assert (status, error["code"], error["type"]) == (404, "not_found", "invalid_request_error")
        status, error = await home.refused(
            "POST",
            "/v1/responses",
            json={"model": ALIAS, "input": "hi", "previous_response_id": sent["id"]},
        )
        assert (status, error["code"]) == (404, "previous_response_not_found")
        assert error["param"] == "previous_response_id"


async def test_a_deleted_response_is_gone_for_all_purposes() -> None:
    async with house() as home:
        sent = await home.respond()
        path = f"/v1/responses/{sent['id']}"
        deleted = await home.client.delete(path)
        assert deleted.json() == {"id": sent["id"], "object": "response", "deleted": True}
        for method, where in (("GET", path), ("DELETE", path), ("GET", f"{path}/input_items")):
            assert (await home.refused(method, where))[0] == 404
        with pytest.raises(openai.NotFoundError, match=sent["id"]):
            await home.sdk.responses.create(model=ALIAS, input="x", previous_response_id=sent["id"])


async def test_a_response_goes_on_from_the_one_before_without_its_instructions() -> None:
    async with house() as home:
        home.script.says("<think>hm</think>Aha.")
        first = await home.respond(input="one", instructions="Be brief.")
        before = home.prompt()
        assert "Be brief." in before
        second = await home.respond(
            input="two", instructions="Be kind.", previous_response_id=first["id"]
        )
        assert second["previous_response_id"] == first["id"]
        third = await home.respond(input="three", previous_response_id=second["id"])
        said = "<|im_start|>assistant\n<think>hm</think>Aha.<|im_end|>\n"
        turns = [f"<|im_start|>user\n{word}<|im_end|>\n" for word in ("one", "two", "three")]
        assert home.prompt() == said.join(turns) + "<|im_start|>assistant\n"
        listed = await home.sdk.responses.input_items.list(third["id"], order="asc")
        kinds = [item.type for item in listed.data]
        assert kinds == ["message", "reasoning", "message"] * 2 + ["message"]


async def test_a_tool_loop_sends_only_what_is_new() -> None:
    async with house() as home:
        home.script.says(CALL)
        first = await home.respond(tools=[FUNCTION])
        (call,) = first["output"]
        output = {"type": "function_call_output", "call_id": call["call_id"], "output": "42"}
        asked = home.prompt()
        await home.respond(input=[output], tools=[FUNCTION], previous_response_id=first["id"])
        assert home.prompt().startswith(asked)
        assert "<|im_start|>tool\n42<|im_end|>" in home.prompt()


async def test_an_item_can_be_sent_by_its_id() -> None:
    async with house() as home:
        sent = await home.respond(input=[{"role": "user", "content": "item_reference"}])
        (message,) = sent["output"]
        (asked,) = (await home.sdk.responses.input_items.list(sent["id"])).data
        references = [
            {"type": "item_reference", "id": item_id} for item_id in (asked.id, message["id"])
        ]
        await home.respond(input=[*references, {"role": "user", "content": "and?"}])
        assert "user\nitem_reference<|im_end|>" in home.prompt()
        assert "assistant\nHello, wörld 🙂<|im_end|>" in home.prompt()
        body = {"model": ALIAS, "input": [{"type": "item_reference", "id": "msg_nobody"}]}
        status, error = await home.refused("POST", "/v1/responses", json=body)
        assert (status, error["param"]) == (404, "input[0].id")


async def test_input_items_come_in_pages() -> None:
    async with house() as home:
        words = [{"role": "user", "content": f"word {number}"} for number in range(5)]
        sent = await home.respond(input=words)
        seen: list[Any] = [
            item
            async for item in home.sdk.responses.input_items.list(sent["id"], limit=2, order="asc")
        ]
        assert [item.content[0].text for item in seen] == [f"word {at}" for at in range(5)]
        newest = await home.client.get(f"/v1/responses/{sent['id']}/input_items?limit=1")
        assert newest.json()["data"][0]["content"] == [{"type": "input_text", "text": "word 4"}]
        assert newest.json()["has_more"]
        path = f"/v1/responses/{sent['id']}/input_items"
        for query in ("limit=0", "limit=x", "order=up", "after=nobody"):
            assert (await home.refused("GET", f"{path}?{query}"))[0] == 400


async def test_what_is_stored_outlives_the_daemon(tmp_path: Path) -> None:
    file = tmp_path / "responses.db"
    async with house(file) as home:
        first = await home.respond(input="one")
    assert file.stat().st_mode & 0o077 == 0
    async with house(file) as home:
        assert (await home.client.get(f"/v1/responses/{first['id']}")).json() == first
        await home.respond(input="two", previous_response_id=first["id"])
        assert "user\none<|im_end|>" in home.prompt()


async def test_the_ones_not_used_for_longest_go_first() -> None:
    async with house(limits={"max_stored": 3}) as home:
        root = await home.respond(input="root")
        others = [await home.respond(input="other") for _ in range(2)]
        leaf = await home.respond(input="leaf", previous_response_id=root["id"])
        for kept, status in ((root, 200), (leaf, 200), (others[0], 404), (others[1], 200)):
            found = await home.client.get(f"/v1/responses/{kept['id']}")
            assert found.status_code == status


async def test_nothing_is_stored_where_nothing_may_be() -> None:
    async with house(limits={"max_stored": 0}) as home:
        sent = await home.respond()
        assert (await home.refused("GET", f"/v1/responses/{sent['id']}"))[0] == 404
        body = {"model": ALIAS, "input": "hi", "background": True}
        status, error = await home.refused("POST", "/v1/responses", json=body)
        assert (status, error["param"]) == (400, "background")
        assert (await home.refused("POST", "/v1/conversations", json={}))[0] == 400


async def test_a_full_disk_fails_no_answer(tmp_path: Path) -> None:
    # A folder where the file should be: nothing can be written.
    async with house(tmp_path) as home:
        sent = await home.respond()
        assert sent["status"] == "completed"
        stream = await home.sdk.responses.create(model=ALIAS, input="hi", stream=True)
        assert [event.type async for event in stream][-1] == "response.completed"


async def test_a_conversation_gathers_what_was_said() -> None:
    async with house() as home:
        begun = await home.sdk.conversations.create(
            items=[{"role": "developer", "content": "Be brief."}], metadata={"topic": "x"}
        )
        assert begun.metadata == {"topic": "x"}
        first = await home.respond(input="one", conversation=begun.id)
        assert first["conversation"] == {"id": begun.id}
        await home.respond(input="two", conversation={"id": begun.id}, store=False)
        assert home.prompt() == (
            "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\none<|im_end|>\n"
            "<|im_start|>assistant\nHello, wörld 🙂<|im_end|>\n<|im_start|>user\ntwo<|im_end|>\n"
            "<|im_start|>assistant\n"
        )
        listed = await home.sdk.conversations.items.list(begun.id, order="asc")
        roles = [item.role for item in listed.data if item.type == "message"]
        assert roles == ["developer", "user", "assistant", "user", "assistant"]
        # The first response's own context ends where it ended.
        await home.respond(input="else", previous_response_id=first["id"])
        assert "two" not in home.prompt()
        inputs = await home.sdk.responses.input_items.list(first["id"], order="asc")
        assert len(inputs.data) == 2


async def test_a_conversation_can_be_changed_and_forgotten() -> None:
    async with house() as home:
        talks = home.sdk.conversations
        begun = await talks.create()
        added = await talks.items.create(begun.id, items=[{"role": "user", "content": "one"}])
        (item,) = added.data
        assert (await talks.items.retrieve(str(item.id), conversation_id=begun.id)) == item
        changed = await talks.update(begun.id, metadata={"a": "b"})
        assert (await talks.retrieve(begun.id)).metadata == changed.metadata == {"a": "b"}
        await talks.items.delete(str(item.id), conversation_id=begun.id)
        with pytest.raises(openai.NotFoundError):
            await talks.items.retrieve(str(item.id), conversation_id=begun.id)
        assert (await talks.delete(begun.id)).deleted
        for call in (talks.retrieve, talks.delete, talks.items.list):
            with pytest.raises(openai.NotFoundError):
                await call(begun.id)
        body = {"model": ALIAS, "input": "hi", "conversation": begun.id}
        status, error = await home.refused("POST", "/v1/responses", json=body)
        assert (status, error["param"]) == (404, "conversation")


@pytest.mark.parametrize(
    "items", [[5], [{"content": "\ud800"}], ["x"], {"role": "user"}, None]
)  # fmt: skip
async def test_items_that_are_none_are_refused(items: Any) -> None:
    async with house() as home:
        begun = await home.sdk.conversations.create()
        path = f"/v1/conversations/{begun.id}/items"
        content = json.dumps({"items": items})
        status, error = await home.refused("POST", path, content=content)
        assert (status, error["type"]) == (400, "invalid_request_error")
