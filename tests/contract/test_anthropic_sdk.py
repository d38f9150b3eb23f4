"""The official `anthropic` client reads what mlxd writes: answers, streams, tools, thinking, counts, pages, errors."""

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import anthropic
import pytest
from anthropic import AsyncAnthropic
from anthropic.types import MessageParam, TextBlock, ThinkingBlock, ToolUseBlock
from pydantic import BaseModel
from support.anthropic_calls import CALL, WITHIN
from support.app_server import serving
from support.front import MODEL, Front, running_front, spec
from support.scripted_engine import ScriptedEngine
from support.tokenizers import CHATML, byte_tokenizer

from mlxd.protocol.errors import InsufficientMemory, MlxdError, QueueFull, WorkerDied
from mlxd.workers.api.app import build

THOUGHT = "<think>\nhm\n</think>\n\n"
TOOL: Any = {
    "name": "f",
    "description": "Do f",
    "input_schema": {"type": "object", "properties": {"x": {"type": "integer"}}},
}
HI: list[MessageParam] = [{"role": "user", "content": "hi"}]


@pytest.fixture
def script() -> Iterator[ScriptedEngine]:
    tokenizer = byte_tokenizer(CHATML)
    engine = ScriptedEngine(tokenizer, lambda request: tokenizer.encode("Hello, wörld 🙂"))
    yield engine
    engine.stop()


@pytest.fixture(params=["", "/anthropic"])
async def sdk(
    script: ScriptedEngine, request: pytest.FixtureRequest
) -> AsyncIterator[AsyncAnthropic]:
    app = build(script.model, script.engine)
    async with serving(app) as server, client(server.url + request.param) as found:
        yield found
    app.state.pipeline.close()


def client(url: str, **options: Any) -> AsyncAnthropic:
    return AsyncAnthropic(
        base_url=url, **{"api_key": "none", "max_retries": 0, "timeout": WITHIN, **options}
    )


def text_of(message: Any) -> str:
    return "".join(block.text for block in message.content if isinstance(block, TextBlock))


async def test_an_answer_and_a_stream_read_the_same(sdk: AsyncAnthropic) -> None:
    asked: Any = {"model": "m", "max_tokens": 50, "messages": HI, "system": "Be brief."}
    whole = await sdk.messages.create(**asked)
    async with sdk.messages.stream(**asked) as stream:
        pieces = [piece async for piece in stream.text_stream]
        final = await stream.get_final_message()
    assert text_of(whole) == text_of(final) == "".join(pieces) == "Hello, wörld 🙂"
    assert (whole.stop_reason, whole.usage) == (final.stop_reason, final.usage)
    assert whole.stop_reason == "end_turn"


async def test_a_plain_stream_has_the_events_in_their_order(sdk: AsyncAnthropic) -> None:
    events = await sdk.messages.create(model="m", max_tokens=50, messages=HI, stream=True)
    kinds = [event.type async for event in events]
    assert kinds[:2] == ["message_start", "content_block_start"]
    assert kinds[-3:] == ["content_block_stop", "message_delta", "message_stop"]
    assert set(kinds[2:-3]) == {"content_block_delta"}


async def test_counts_equal_what_an_answer_says_it_read(sdk: AsyncAnthropic) -> None:
    asked: Any = {"model": "m", "messages": HI, "system": "Be brief.", "tools": [TOOL]}
    count = await sdk.messages.count_tokens(**asked)
    beta = await sdk.beta.messages.count_tokens(**asked)
    usage = (await sdk.messages.create(**asked, max_tokens=5)).usage
    read = usage.input_tokens + (usage.cache_read_input_tokens or 0)
    assert count.input_tokens == beta.input_tokens == read


async def test_thinking_comes_as_blocks_that_can_be_sent_back(
    sdk: AsyncAnthropic, script: ScriptedEngine
) -> None:
    script.says(f"{THOUGHT}42.")
    asked: Any = {"model": "m", "max_tokens": 2000}
    asked |= {"thinking": {"type": "enabled", "budget_tokens": 1024}}
    async with sdk.messages.stream(**asked, messages=HI) as stream:
        kinds = [event.type async for event in stream]
        final = await stream.get_final_message()
    assert {"thinking", "signature", "text"} <= set(kinds)
    thinking, text = final.content
    assert isinstance(thinking, ThinkingBlock) and isinstance(text, TextBlock)
    assert (thinking.thinking, text.text) == ("hm", "42.")
    again = [*HI, final.to_param(), *HI]
    assert (await sdk.messages.create(**asked, messages=again)).content
    sent = str(script.tokenizer.decode(list(script.seen[-1].prompt)))
    assert "<think>hm</think>42." in sent


async def test_a_tool_loop_of_three_turns(sdk: AsyncAnthropic, script: ScriptedEngine) -> None:
    messages: list[Any] = [*HI]
    asked: Any = {"model": "m", "max_tokens": 200, "tools": [TOOL]}
    for turn in range(3):
        script.says(f"Step {turn}.\n{CALL}" if turn != 1 else f"{CALL}\n{CALL}")
        async with sdk.messages.stream(**asked, messages=messages) as stream:
            message = await stream.get_final_message()
        whole = await sdk.messages.create(**asked, messages=messages)
        assert message.stop_reason == whole.stop_reason == "tool_use"
        calls = [block for block in message.content if isinstance(block, ToolUseBlock)]
        assert [(call.name, call.input) for call in calls] == [("f", {"x": 1})] * (1 + (turn == 1))
        assert len({call.id for call in calls}) == len(calls)
        results = [
            {"type": "tool_result", "tool_use_id": call.id, "content": str(turn)} for call in calls
        ]
        messages += [message.to_param(), {"role": "user", "content": results}]
    script.says("Done.")
    last = await sdk.messages.create(**asked, messages=messages)
    assert (text_of(last), last.stop_reason) == ("Done.", "end_turn")
    sent = str(script.tokenizer.decode(list(script.seen[-1].prompt)))
    assert sent.count("<|im_start|>tool") == 4


async def test_the_clients_own_tool_runner_runs(
    sdk: AsyncAnthropic, script: ScriptedEngine
) -> None:
    ran: list[int] = []

    @anthropic.beta_async_tool
    async def f(x: int) -> str:
        """Do f."""
        ran.append(x)
        script.says("Done.")
        return "ok"

    script.says(CALL)
    runner = sdk.beta.messages.tool_runner(model="m", max_tokens=200, tools=[f], messages=HI)  # type: ignore[arg-type]
    final = await runner.until_done()
    assert ran == [1]
    assert final.stop_reason == "end_turn"


class Sum(BaseModel):
    """What a parsed answer holds."""

    a: int
    total: int


async def test_an_answer_is_parsed_into_the_callers_own_type(
    sdk: AsyncAnthropic, script: ScriptedEngine
) -> None:
    script.says('{"a": 1, "total": 3}')
    parsed = await sdk.messages.parse(model="m", max_tokens=50, messages=HI, output_format=Sum)
    assert parsed.parsed_output == Sum(a=1, total=3)


async def test_a_stop_sequence_is_told(sdk: AsyncAnthropic) -> None:
    message = await sdk.messages.create(
        model="m", max_tokens=50, messages=HI, stop_sequences=["wör", "zz"]
    )
    assert (message.stop_reason, message.stop_sequence) == ("stop_sequence", "wör")
    assert text_of(message) == "Hello, "


async def test_a_bad_request_is_one(sdk: AsyncAnthropic) -> None:
    hosted: Any = {"type": "web_search_20250305", "name": "web_search"}
    extra = {"extra_body": {"temperature": -1}}
    wrong: list[Any] = [extra, {"tools": [hosted]}, {"tool_choice": {"type": "any"}}]
    for fields in wrong:
        with pytest.raises(anthropic.BadRequestError, match="temperature|tools|tool_choice"):
            await sdk.messages.create(model="m", max_tokens=5, messages=HI, **fields)


async def test_a_stream_that_breaks_raises(sdk: AsyncAnthropic, script: ScriptedEngine) -> None:
    script.fail_after = (2, WorkerDied("gone"))
    stream = await sdk.messages.create(model="m", max_tokens=50, messages=HI, stream=True)
    with pytest.raises(anthropic.APIStatusError, match="gone"):
        async for _ in stream:
            pass


async def ask(front: Front, **options: Any) -> None:
    async with client(front.server.url, **options) as sdk:
        await sdk.messages.create(model=MODEL, max_tokens=5, messages=HI)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (QueueFull("full", retry_after=2), anthropic.RateLimitError),
        (InsufficientMemory(needed=3, free=2, budget=1), anthropic.OverloadedError),
        (WorkerDied("gone"), anthropic.ServiceUnavailableError),
        (RuntimeError("a bug"), anthropic.InternalServerError),
    ],
)
async def test_what_the_daemon_refuses_raises_the_class_of_its_status(
    error: MlxdError, expected: type[anthropic.APIStatusError]
) -> None:
    async with running_front() as front:
        front.pool.refusal = error
        with pytest.raises(expected) as caught:
            await ask(front)
    assert type(caught.value) is expected
    assert caught.value.request_id
    assert json.loads(json.dumps(caught.value.body))["type"] == "error"


async def test_each_check_of_the_front_raises_the_class_of_its_status() -> None:
    async with running_front(api_key="k", max_body=500) as front:
        with pytest.raises(anthropic.AuthenticationError):
            await ask(front, api_key="wrong")
        with pytest.raises(anthropic.PermissionDeniedError):
            await ask(front, api_key="k", default_headers={"host": "evil.example"})
        async with client(front.server.url, api_key="k") as sdk:
            with pytest.raises(anthropic.NotFoundError, match="aliases"):
                await sdk.messages.create(model="claude-opus-4-1", max_tokens=5, messages=HI)
            with pytest.raises(anthropic.ContentTooLargeError):
                await sdk.messages.create(
                    model=MODEL, max_tokens=5, messages=[{"role": "user", "content": "x" * 600}]
                )


async def test_a_bearer_token_is_a_key_too() -> None:
    async with running_front(api_key="k") as front:
        front.worker.status = 500
        front.worker.steps = [b"{}"]
        with pytest.raises(anthropic.InternalServerError):
            await ask(front, api_key=None, auth_token="k")


async def test_models_are_paged_through() -> None:
    names = [f"org/m{number:02}" for number in range(45)]
    async with running_front(*(spec(name) for name in names)) as front:
        async with client(front.server.url + "/anthropic") as sdk:
            assert [model.id async for model in sdk.models.list()] == names
            assert [model.id async for model in sdk.models.list(limit=7)] == names
            assert [model.id async for model in sdk.beta.models.list(limit=7)] == names
            model = await sdk.models.retrieve(names[3])
            assert (model.id, model.created_at.year, model.max_input_tokens) == (
                names[3],
                2023,
                2048,
            )
            with pytest.raises(anthropic.NotFoundError):
                await sdk.models.retrieve("nobody")
