"""A real worker answers with what its model knows by heart, streamed or not, alone or in a crowd."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from support import tiny_models
from support.worker_process import loaded

from mlxd.protocol.sse import Parser

TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Say what the weather is",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}
CALL = '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Paris"}}\n</tool_call>'
RESULT = [
    {"role": "user", "content": "Weather in Paris?"},
    {
        "role": "assistant",
        "content": "",
        "tool_calls": [
            {
                "type": "function",
                "function": {"name": "get_weather", "arguments": {"city": "Paris"}},
            }
        ],
    },
    {"role": "tool", "content": "18"},
]
DIALOGS: list[Any] = [
    [[{"role": "user", "content": "Say hi"}], None, "Hello there 🙂! How are you?"],
    [[{"role": "user", "content": "Think"}], None, "<think>\nSo.\n</think>\n\nIt is 42."],
    [[{"role": "user", "content": "Weather in Paris?"}], [TOOL], CALL],
    [RESULT, [TOOL], "It is 18 degrees."],
    [[{"role": "user", "content": "Count"}], None, "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16"],
]


@pytest.fixture(scope="module")
def socket_path(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Give the socket of a worker whose model knows the dialogues by heart."""
    folder = tmp_path_factory.mktemp("w")
    dialogs = folder / "dialogs.json"
    dialogs.write_text(json.dumps(DIALOGS))
    model = tiny_models.folder("qwen3", "--train", "400", "--dialogs", str(dialogs))
    with loaded(model) as process:
        yield Path(process.socket)


@pytest.fixture
async def client(socket_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.AsyncHTTPTransport(uds=str(socket_path))
    async with httpx.AsyncClient(
        transport=transport, base_url="http://worker", timeout=60
    ) as client:
        yield client


def body(messages: Any, tools: Any = None, **fields: object) -> dict[str, object]:
    return {"model": "m", "messages": messages, "tools": tools, "temperature": 0} | fields


async def whole(client: httpx.AsyncClient, *args: Any, **fields: object) -> Any:
    response = await client.post("/v1/chat/completions", json=body(*args, **fields))
    assert response.status_code == 200, response.text
    return response.json()


async def streamed(client: httpx.AsyncClient, *args: Any, **fields: object) -> Any:
    """Return message, reason and usage as a client puts them together."""
    options = {"stream": True, "stream_options": {"include_usage": True}}
    parser, events = Parser(), []
    async with client.stream(
        "POST", "/v1/chat/completions", json=body(*args, **fields) | options
    ) as response:
        async for part in response.aiter_bytes():
            events += [data for _, data in parser.feed(part)]
    assert events.pop() == b"[DONE]"
    usage = json.loads(events.pop())["usage"]
    message: dict[str, Any] = {"content": "", "reasoning_content": "", "tool_calls": []}
    reason = None
    for event in map(json.loads, events):
        [choice] = event["choices"]
        for key in message:
            message[key] += choice["delta"].get(key) or type(message[key])()
        reason = choice["finish_reason"] or reason
    return message, reason, usage


def without_ids(calls: Any) -> Any:
    return [call["function"] for call in calls or []]


@pytest.mark.parametrize(("messages", "tools", "reply"), DIALOGS)
async def test_a_stream_and_a_whole_answer_are_the_same(
    client: httpx.AsyncClient, messages: Any, tools: Any, reply: str
) -> None:
    answer = await whole(client, messages, tools)
    [choice] = answer["choices"]
    message = choice["message"]
    pieces, reason, usage = await streamed(client, messages, tools)
    assert pieces["content"] == (message["content"] or "")
    assert pieces["reasoning_content"] == message.get("reasoning_content", "")
    assert without_ids(pieces["tool_calls"]) == without_ids(message.get("tool_calls"))
    assert reason == choice["finish_reason"]
    assert usage == answer["usage"]
    if reply == CALL:
        assert without_ids(message["tool_calls"]) == [
            {"name": "get_weather", "arguments": '{"city": "Paris"}'}
        ]
        assert (message["content"], reason) == (None, "tool_calls")
    else:
        assert reply.endswith(message["content"])
        assert reason == "stop"
        assert ("reasoning_content" in message) is reply.startswith("<think>")


async def test_a_crowd_gets_the_answers_that_each_gets_alone(client: httpx.AsyncClient) -> None:
    alone = [await whole(client, messages, tools) for messages, tools, _ in DIALOGS]
    crowd = await asyncio.gather(
        *(whole(client, messages, tools) for messages, tools, _ in DIALOGS * 4)
    )
    for at, answer in enumerate(crowd):
        expected = alone[at % len(DIALOGS)]["choices"][0]
        [choice] = answer["choices"]
        assert choice["message"]["content"] == expected["message"]["content"]
        assert choice["finish_reason"] == expected["finish_reason"]


async def test_stop_strings_end_an_answer_wherever_tokens_fall(client: httpx.AsyncClient) -> None:
    ask = [{"role": "user", "content": "Count"}]
    for stop in (" 7", "7 8", "9 10 1", "6", "16"):
        answer = await whole(client, ask, stop=stop)
        [choice] = answer["choices"]
        assert choice["message"]["content"] == DIALOGS[4][2].partition(stop)[0]
        assert choice["finish_reason"] == "stop"
        pieces, reason, _ = await streamed(client, ask, stop=[stop, "never"])
        assert (pieces["content"], reason) == (choice["message"]["content"], "stop")


async def test_the_same_seed_gives_the_same_choices(client: httpx.AsyncClient) -> None:
    ask = [{"role": "user", "content": "Tell me"}]
    fields: dict[str, object] = {"temperature": 1.5, "seed": 11, "n": 3, "max_tokens": 12}
    first, second = [await whole(client, ask, None, **fields) for _ in range(2)]
    texts = [choice["message"]["content"] for choice in first["choices"]]
    assert texts == [choice["message"]["content"] for choice in second["choices"]]
    assert len(set(texts)) > 1
    alone = await whole(client, ask, None, **fields | {"seed": 12, "n": 1})
    assert alone["choices"][0]["message"]["content"] == texts[1]


async def test_four_choices_read_their_prompt_once(client: httpx.AsyncClient) -> None:
    async def prompt_tokens() -> int:
        return int((await client.get("/v1/batch/stats")).json()["prompt_tokens"])

    before = await prompt_tokens()
    asked = {"model": "m", "prompt": list(range(100, 700)) * 3 + [7] * 200, "max_tokens": 5, "n": 4}
    answer = (await client.post("/v1/completions", json=asked | {"seed": 3})).json()
    assert answer["usage"]["prompt_tokens"] == 2000
    assert len(answer["choices"]) == 4
    assert await prompt_tokens() - before == 1999
    refused = await client.post("/v1/completions", json=asked | {"best_of": 8})
    assert refused.status_code == 400
    assert refused.json()["error"]["param"] == "best_of"


async def test_a_client_that_leaves_takes_its_row_out_of_the_batch(
    client: httpx.AsyncClient,
) -> None:
    """G1: streamed or not, the row is gone within a few steps."""

    async def reached(what: str, count: int) -> Any:
        async with asyncio.timeout(60):
            while (found := (await client.get("/v1/batch/stats")).json())[what] < count:
                pass
        return found

    before = await reached("cancelled", 0)
    fields = body([{"role": "user", "content": "Count"}], ignore_eos=True, max_tokens=30_000)
    async with client.stream("POST", "/v1/chat/completions", json=fields | {"stream": True}) as r:
        lines = r.aiter_lines()
        for _ in range(6):
            await anext(lines)
    await reached("cancelled", before["cancelled"] + 1)
    asking = asyncio.create_task(client.post("/v1/chat/completions", json=fields))
    await reached("decode", 1)
    asking.cancel()
    await asyncio.wait((asking,))
    stats = await reached("cancelled", before["cancelled"] + 2)
    assert stats["decode"] + stats["prefill"] + stats["waiting"] == 0


async def test_log_probabilities_are_the_same_streamed(client: httpx.AsyncClient) -> None:
    ask = [{"role": "user", "content": "Say hi"}]
    answer = await whole(client, ask, logprobs=True, top_logprobs=3)
    content = answer["choices"][0]["logprobs"]["content"]
    raw = bytes(byte for entry in content for byte in entry["bytes"])
    assert raw.decode() == answer["choices"][0]["message"]["content"]
    for entry in content:
        assert entry["top_logprobs"][0]["bytes"] == entry["bytes"]
        assert entry["logprob"] <= 0
