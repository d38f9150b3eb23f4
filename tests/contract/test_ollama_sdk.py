"""The official `ollama` client reads what mlxd writes: answers, streams, tools, formats, thinking, lists, errors."""

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import ollama
import pytest
from conftest import RunDaemon
from ollama import AsyncClient, ResponseError
from pydantic import BaseModel
from support.app_server import serving
from support.daemon import Daemon
from support.front import MODEL, running_front
from support.ollama_calls import CALL, TOOL, USER, WITHIN
from support.scripted_engine import ScriptedEngine
from support.tiny_models import folder
from support.tokenizers import CHATML, byte_tokenizer

from mlxd.protocol.errors import InsufficientMemory, MlxdError, QueueFull, WorkerDied
from mlxd.workers.api.app import build

THOUGHT = "<think>\nhm\n</think>\n\n"


@pytest.fixture
def script() -> Iterator[ScriptedEngine]:
    tokenizer = byte_tokenizer(CHATML)
    engine = ScriptedEngine(tokenizer, lambda request: tokenizer.encode("Hello, wörld 🙂"))
    yield engine
    engine.stop()


@pytest.fixture
async def sdk(script: ScriptedEngine) -> AsyncIterator[AsyncClient]:
    app = build(script.model, script.engine)
    async with serving(app) as server, AsyncClient(server.url, timeout=WITHIN) as found:
        yield found
    app.state.pipeline.close()


async def test_an_answer_and_a_stream_read_the_same(sdk: AsyncClient) -> None:
    whole = await sdk.chat("m", [USER], options={"temperature": 0})
    parts = [part async for part in await sdk.chat("m", [USER], stream=True)]
    text = "".join(part.message.content or "" for part in parts)
    assert whole.message.content == text == "Hello, wörld 🙂"
    last = parts[-1]
    for key in ("done", "done_reason", "eval_count", "prompt_eval_count", "model"):
        assert whole[key] == last[key]
    assert last.done_reason == "stop" and last.total_duration and last.eval_duration


async def test_generate_reads_the_same_too(sdk: AsyncClient) -> None:
    whole = await sdk.generate("m", "hi", system="Be brief.")
    parts = [part async for part in await sdk.generate("m", "hi", system="Be brief.", stream=True)]
    assert whole.response == "".join(part.response or "" for part in parts) == "Hello, wörld 🙂"
    assert whole.eval_count == parts[-1].eval_count


async def test_thinking_comes_apart_and_can_be_sent_back(
    sdk: AsyncClient, script: ScriptedEngine
) -> None:
    script.says(f"{THOUGHT}42.")
    whole = await sdk.chat("m", [USER])
    assert (whole.message.thinking, whole.message.content) == ("hm", "42.")
    parts = [part async for part in await sdk.chat("m", [USER], stream=True)]
    assert "".join(part.message.thinking or "" for part in parts) == "hm"
    generated = await sdk.generate("m", "hi")
    assert (generated.thinking, generated.response) == ("hm", "42.")
    assert await sdk.chat("m", [USER, whole.message, USER])
    sent = str(script.tokenizer.decode(list(script.seen[-1].prompt)))
    assert "<think>hm</think>42." in sent


async def test_a_tool_loop_of_three_turns_with_a_function_of_the_callers(
    sdk: AsyncClient, script: ScriptedEngine
) -> None:
    def f(x: int) -> str:
        """Do f.

        Args:
          x: What to do it with.
        """
        return str(x + 41)

    messages: list[Any] = [USER]
    for turn in range(3):
        script.says(f"Step {turn}.\n{CALL}" if turn != 1 else f"{CALL}\n{CALL}")
        answer = await sdk.chat("m", messages, tools=[f])
        calls = answer.message.tool_calls or []
        assert [call.function.name for call in calls] == ["f"] * (1 + (turn == 1))
        messages.append(answer.message)
        for call in calls:
            result = f(**call.function.arguments)
            messages.append({"role": "tool", "content": result, "tool_name": call.function.name})
    script.says("Done.")
    assert (await sdk.chat("m", messages, tools=[f])).message.content == "Done."
    sent = str(script.tokenizer.decode(list(script.seen[-1].prompt)))
    assert sent.count("<|im_start|>tool\n42") == 4


async def test_calls_come_in_a_stream(sdk: AsyncClient, script: ScriptedEngine) -> None:
    script.says(f"{CALL}\n{CALL}")
    parts = [part async for part in await sdk.chat("m", [USER], tools=[TOOL], stream=True)]
    calls = [call for part in parts for call in part.message.tool_calls or []]
    assert [(call.function.name, call.function.arguments) for call in calls] == [
        ("f", {"x": 1})
    ] * 2


class Sum(BaseModel):
    """What a formatted answer holds."""

    a: int
    total: int


async def test_a_format_is_read_into_the_callers_own_type(
    sdk: AsyncClient, script: ScriptedEngine
) -> None:
    script.says('{"a": 1, "total": 3}')
    answer = await sdk.chat("m", [USER], format=Sum.model_json_schema())
    assert Sum.model_validate_json(answer.message.content or "") == Sum(a=1, total=3)
    assert script.seen[-1].grammar is not None
    assert json.loads((await sdk.generate("m", "x", format="json")).response or "")["a"] == 1


async def test_logprobs_are_read(sdk: AsyncClient) -> None:
    answer = await sdk.chat("m", [USER], logprobs=True, top_logprobs=2)
    assert answer.logprobs and answer.logprobs[0].token == "H"
    assert len(answer.logprobs[0].top_logprobs or ()) == 2


async def test_every_option_the_client_knows_is_taken_or_refused_by_name(sdk: AsyncClient) -> None:
    harmless: dict[str, Any] = {
        "mirostat": 0, "tfs_z": 1.0, "typical_p": 1.0, "stop": ["zz"], "top_p": 0.9, "temperature": 0.7,
        "mirostat_tau": 5.0, "mirostat_eta": 0.1, "frequency_penalty": 0.0, "presence_penalty": 0.0,
        "repeat_penalty": 1.1,
    }  # fmt: skip
    for name in ollama.Options.model_fields:
        options = ollama.Options(**{name: harmless.get(name, 1)})
        assert (await sdk.chat("m", [USER], options=options)).done
    for name in ("mirostat", "tfs_z", "typical_p"):
        with pytest.raises(ResponseError, match=f"options.{name}") as caught:
            await sdk.chat("m", [USER], options={name: 2})
        assert caught.value.status_code == 400


async def test_a_stream_that_breaks_raises(sdk: AsyncClient, script: ScriptedEngine) -> None:
    script.fail_after = (2, WorkerDied("gone"))
    with pytest.raises(ResponseError, match="gone"):
        async for _ in await sdk.chat("m", [USER], stream=True):
            pass


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (QueueFull("full", retry_after=2), 429),
        (InsufficientMemory(needed=3, free=2, budget=1), 503),
        (WorkerDied("gone"), 503),
        (RuntimeError("a bug"), 500),
    ],
)
@pytest.mark.parametrize("stream", [True, False])
async def test_what_the_daemon_refuses_raises_with_its_status(
    error: MlxdError, status: int, stream: bool
) -> None:
    async with running_front() as front, AsyncClient(front.server.url) as sdk:
        front.pool.refusal = error
        with pytest.raises(ResponseError) as caught:
            answer = await sdk.chat(MODEL, [USER], stream=stream)
            async for _ in answer:
                pass
    assert caught.value.status_code == status
    assert caught.value.error and not caught.value.error.startswith("{")


async def test_each_check_of_the_front_raises_with_its_status() -> None:
    async with running_front(api_key="k", max_body=500) as front:
        url = front.server.url
        async with AsyncClient(url) as sdk:
            with pytest.raises(ResponseError) as caught:
                await sdk.list()
            assert caught.value.status_code == 401
        async with AsyncClient(url, headers={"authorization": "Bearer k"}) as sdk:
            for name, content, status in (("nobody", "x", 404), (MODEL, "x" * 600, 413)):
                with pytest.raises(ResponseError) as caught:
                    await sdk.chat(name, [{"role": "user", "content": content}])
                assert caught.value.status_code == status


async def test_the_embedded_model_answers_the_client_through_a_daemon(
    shared_daemon: Daemon,
) -> None:
    async with AsyncClient(shared_daemon.url, timeout=200) as sdk:
        listed = {model.model: model for model in (await sdk.list()).models}
        assert listed["mlxd-demo"].details and listed["mlxd-demo"].details.family == "qwen3"
        shown = await sdk.show("demo:latest")
        assert shown.capabilities == ["completion", "tools", "thinking"]
        assert shown.modelinfo and shown.modelinfo["qwen3.context_length"] == 4096
        loaded = await sdk.generate("demo", keep_alive="10m")
        assert loaded.done_reason == "load"
        running = {model.model: model for model in (await sdk.ps()).models}
        assert running["mlxd-demo"].size and running["mlxd-demo"].expires_at
        asked: Any = {"model": "demo", "messages": [{"role": "user", "content": "Hello!"}]}
        asked |= {"options": {"temperature": 0, "num_predict": 40}, "think": False}
        whole = await sdk.chat(**asked)
        parts = [part async for part in await sdk.chat(**asked, stream=True)]
        assert whole.message.content == "".join(part.message.content or "" for part in parts)
        assert whole.message.content and whole.model == "mlxd-demo"
        formatted = await sdk.chat(**asked, format=Sum.model_json_schema())
        assert formatted.done_reason == "length" or Sum.model_validate_json(
            formatted.message.content or ""
        )


async def test_a_tool_loop_with_the_embedded_model_ends_with_an_answer(
    shared_daemon: Daemon,
) -> None:
    def get_weather(city: str) -> str:
        """Say what the weather is.

        Args:
          city: Where.
        """
        return f"18 degrees and sunny in {city}"

    messages: list[Any] = [{"role": "user", "content": "What is the weather in Paris?"}]
    asked: Any = {"tools": [get_weather], "think": False, "options": {"temperature": 0}}
    async with AsyncClient(shared_daemon.url, timeout=200) as sdk:
        answer = await sdk.chat("demo", messages, **asked)
        (call,) = answer.message.tool_calls or []
        assert (call.function.name, call.function.arguments) == ("get_weather", {"city": "Paris"})
        result = get_weather(**call.function.arguments)
        messages += [
            answer.message,
            {"role": "tool", "content": result, "tool_name": "get_weather"},
        ]
        last = await sdk.chat("demo", messages, **asked)
    assert not last.message.tool_calls and "18" in (last.message.content or "")


async def test_a_model_that_cannot_think_says_so(running_daemon: RunDaemon) -> None:
    entry = {"id": "plain", "source": str(folder("llama"))}
    daemon = running_daemon({"models": [entry], "hub": False})
    short: Any = {"options": {"num_predict": 3}}
    async with AsyncClient(daemon.url, timeout=200) as sdk:
        assert "thinking" not in ((await sdk.show("plain")).capabilities or [])
        for think in (True, "high"):
            for stream in (False, True):
                with pytest.raises(
                    ResponseError, match='"plain" does not support thinking'
                ) as caught:
                    answer = await sdk.chat("plain", [USER], think=think, stream=stream, **short)
                    async for _ in answer:
                        pass
                assert caught.value.status_code == 400
        with pytest.raises(ResponseError, match="does not support thinking"):
            await sdk.generate("plain", "hi", think=True, **short)
        for silent in (None, False):
            assert (await sdk.chat("plain", [USER], think=silent, **short)).done
        assert (await sdk.chat("demo", [USER], think=True, **short)).message.thinking
