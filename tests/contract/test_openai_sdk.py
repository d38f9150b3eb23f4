"""The official `openai` client talks to a real daemon: answers, streams, models, and the class of every refusal."""

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from conftest import RunDaemon
from openai import AsyncOpenAI, OpenAI
from support.daemon import Daemon
from support.front import MODEL, running_front

from mlxd.protocol.errors import InsufficientMemory, MlxdError, QueueFull, WorkerDied

ASK: list[Any] = [{"role": "user", "content": "Hello!"}]
WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Tell the weather of a city",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    },
}


def client(url: str, **options: Any) -> OpenAI:
    """Return a client that tries once."""
    return OpenAI(
        base_url=url + "/v1", **{"api_key": "none", "max_retries": 0, "timeout": 200, **options}
    )


@pytest.fixture
def sdk(shared_daemon: Daemon) -> Iterator[OpenAI]:
    with client(shared_daemon.url) as found:
        yield found


def test_a_chat_and_its_stream_read_the_same(sdk: OpenAI) -> None:
    asked: Any = {"model": "demo", "messages": ASK, "temperature": 0, "max_completion_tokens": 60}
    whole = sdk.chat.completions.create(**asked)
    assert whole.model == "mlxd-demo"
    assert whole.choices[0].finish_reason == "stop"
    assert whole.usage and whole.usage.completion_tokens > 0
    with sdk.chat.completions.stream(**asked, stream_options={"include_usage": True}) as stream:
        kinds = {event.type for event in stream}
        final = stream.get_final_completion()
    assert {"chunk", "content.delta", "content.done"} <= kinds
    assert final.choices[0].message.content == whole.choices[0].message.content
    assert final.choices[0].finish_reason == "stop"
    assert final.usage and final.usage.completion_tokens == whole.usage.completion_tokens
    pieces = [
        chunk.choices[0].delta.content or ""
        for chunk in sdk.chat.completions.create(**asked, stream=True)
    ]
    assert len(pieces) > 2
    assert "".join(pieces) == whole.choices[0].message.content


def test_every_chunk_of_a_plain_stream_has_a_choice_and_usage_comes_last_where_asked_for(
    sdk: OpenAI,
) -> None:
    asked: Any = {"model": "demo", "messages": ASK, "max_tokens": 5, "stream": True}
    plain = list(sdk.chat.completions.create(**asked))
    assert all(len(chunk.choices) == 1 and chunk.usage is None for chunk in plain)
    counted = list(sdk.chat.completions.create(**asked, stream_options={"include_usage": True}))
    assert counted[-1].choices == [] and counted[-1].usage
    assert all(chunk.usage is None for chunk in counted[:-1])
    assert len({chunk.id for chunk in counted}) == 1


async def test_the_asynchronous_client_reads_a_stream_too(shared_daemon: Daemon) -> None:
    url = shared_daemon.url + "/v1"
    async with AsyncOpenAI(base_url=url, api_key="none", max_retries=0) as sdk:
        stream = await sdk.chat.completions.create(model="demo", messages=ASK, stream=True)
        chunks = [chunk async for chunk in stream]
    assert chunks[-1].choices[0].finish_reason in ("stop", "length")


def test_a_call_of_a_tool_is_answered_and_the_answer_goes_on(sdk: OpenAI) -> None:
    messages: list[Any] = [{"role": "user", "content": "What is the weather in Paris?"}]
    asked: Any = {"model": "demo", "tools": [WEATHER], "temperature": 0, "max_tokens": 100}
    message = sdk.chat.completions.create(**asked, messages=messages).choices[0]
    assert message.finish_reason == "tool_calls"
    (call,) = message.message.tool_calls or []
    assert call.type == "function"
    assert json.loads(call.function.arguments) == {"city": "Paris"}
    result = {"role": "tool", "tool_call_id": call.id, "content": "18 degrees"}
    messages += [message.message.to_dict(), result]
    last = sdk.chat.completions.create(**asked, messages=messages).choices[0]
    assert last.finish_reason == "stop" and last.message.content


def test_a_completion_and_its_stream_read_the_same(sdk: OpenAI) -> None:
    asked: Any = {"model": "demo", "prompt": "Hello", "max_tokens": 12, "temperature": 0}
    whole = sdk.completions.create(**asked)
    assert (whole.object, whole.model) == ("text_completion", "mlxd-demo")
    chunks = list(sdk.completions.create(**asked, stream=True))
    assert "".join(chunk.choices[0].text for chunk in chunks) == whole.choices[0].text
    assert chunks[-1].choices[0].finish_reason == whole.choices[0].finish_reason


def test_models_are_listed_and_found_by_id_and_alias(sdk: OpenAI) -> None:
    listed = {model.id: model for model in sdk.models.list()}
    assert listed["mlxd-demo"].object == "model"
    assert sdk.models.retrieve("mlxd-demo").id == sdk.models.retrieve("demo").id == "mlxd-demo"


def test_an_unknown_model_raises_not_found_with_its_code(sdk: OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="mlxd-demo") as caught:
        sdk.chat.completions.create(model="mlxd-dem", messages=ASK)
    assert (caught.value.code, caught.value.param) == ("model_not_found", "model")
    assert caught.value.request_id
    with pytest.raises(openai.NotFoundError):
        sdk.models.retrieve("mlxd-dem")
    with pytest.raises(openai.NotFoundError):
        sdk.post("/nothing/here", cast_to=object)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"temperature": -1}, "temperature"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "messages[0].role"),
        ({"modalities": ["audio"]}, "modalities"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_a_wrong_field_raises_bad_request_with_its_name(
    sdk: OpenAI, fields: dict[str, Any], param: str, stream: bool
) -> None:
    asked: dict[str, Any] = {"model": "demo", "messages": ASK, "stream": stream}
    with pytest.raises(openai.BadRequestError) as caught:
        sdk.chat.completions.create(**(asked | fields))
    assert caught.value.param == param


def test_each_check_of_the_front_raises_the_class_of_its_status(running_daemon: RunDaemon) -> None:
    daemon = running_daemon({"server": {"api_key": "k", "max_body": 500}})
    asked: Any = {"model": "demo", "messages": ASK}
    with client(daemon.url, api_key="wrong") as sdk, pytest.raises(openai.AuthenticationError):
        sdk.models.list()
    evil = {"host": "evil.example"}
    with client(daemon.url, api_key="k", default_headers=evil) as sdk:
        with pytest.raises(openai.PermissionDeniedError):
            sdk.models.list()
    with client(daemon.url, api_key="k") as sdk:
        assert [model.id for model in sdk.models.list()] == ["mlxd-demo"]
        with pytest.raises(openai.APIStatusError) as caught:
            sdk.chat.completions.create(**asked, user="x" * 600)
        assert caught.value.status_code == 413


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (QueueFull("full", retry_after=2), openai.RateLimitError),
        (InsufficientMemory(needed=3, free=2, budget=1), openai.InternalServerError),
        (WorkerDied("gone"), openai.InternalServerError),
        (RuntimeError("a bug"), openai.InternalServerError),
    ],
)
async def test_what_the_daemon_refuses_raises_the_class_of_its_status(
    error: MlxdError, expected: type[openai.APIStatusError]
) -> None:
    async with running_front() as front:
        front.pool.refusal = error
        url = front.server.url + "/v1"
        async with AsyncOpenAI(base_url=url, api_key="none", max_retries=0) as sdk:
            with pytest.raises(expected) as caught:
                await sdk.chat.completions.create(model=MODEL, messages=ASK)
    assert type(caught.value) is expected
    assert caught.value.request_id and caught.value.code
