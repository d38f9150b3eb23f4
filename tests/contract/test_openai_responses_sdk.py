"""The official `openai` client reads Responses: answers, helpers, parsing, tool loops, every class of error."""

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any, Literal

import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from openai.lib._tools import pydantic_function_tool
from pydantic import BaseModel
from support.daemon import Daemon
from support.front import ALIAS
from support.openai_responses_calls import CUSTOM, FUNCTION
from support.responses_house import House, house

from mlxd.protocol.errors import InsufficientMemory, MlxdError, QueueFull, WorkerStopFailed

CALL = '<tool_call>\n{"name": "f", "arguments": {"x": 1}}\n</tool_call>'


class Person(BaseModel):
    """Describe a function's arguments."""

    name: str
    age: int


class Verdict(BaseModel):
    """What even a model that understands nothing fills in shortly."""

    kind: Literal["question", "greeting"]
    sure: bool


@pytest.fixture
async def home() -> AsyncIterator[House]:
    async with house() as home:
        yield home


@pytest.fixture(scope="session")
def real(shared_daemon: Daemon) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{shared_daemon.url}/v1", api_key="none", max_retries=0) as client:
        yield client


async def test_every_event_of_a_stream_has_its_class(home: House) -> None:
    home.script.says(f"<think>hm</think>On it.\n{CALL}\n" + CALL.replace('"f"', '"note"'))
    tools: Any = [FUNCTION, CUSTOM]
    stream = await home.sdk.responses.create(model=ALIAS, input="hi", tools=tools, stream=True)
    kinds = []
    async for event in stream:
        assert type(event).model_validate(event.to_dict()).type == event.type
        kinds.append(event.type.removeprefix("response."))
    part = ["content_part.added", "content_part.done"]
    assert [kind for kind, _ in _runs(kinds)] == [
        "created", "in_progress",
        "output_item.added", part[0], "reasoning_text.delta", "reasoning_text.done", part[1], "output_item.done",
        "output_item.added", part[0], "output_text.delta", "output_text.done", part[1], "output_item.done",
        "output_item.added", "function_call_arguments.delta", "function_call_arguments.done", "output_item.done",
        "output_item.added", "custom_tool_call_input.delta", "custom_tool_call_input.done", "output_item.done",
        "completed",
    ]  # fmt: skip


def _runs(kinds: list[str]) -> list[tuple[str, int]]:
    found: list[tuple[str, int]] = []
    for kind in kinds:
        if found and found[-1][0] == kind:
            found[-1] = (kind, found[-1][1] + 1)
        else:
            found.append((kind, 1))
    return found


async def test_the_helper_s_final_response_is_the_whole_one(home: House) -> None:
    home.script.says(f"<think>hm</think>On it.\n{CALL}")
    tools: Any = [FUNCTION]
    whole = await home.sdk.responses.create(model=ALIAS, input="hi", tools=tools)
    async with home.sdk.responses.stream(model=ALIAS, input="hi", tools=tools) as stream:
        texts = [
            event.delta async for event in stream if event.type == "response.output_text.delta"
        ]
        final = await stream.get_final_response()
    assert "".join(texts) == final.output_text == whole.output_text == "On it."
    assert final.usage == whole.usage
    assert [item.type for item in final.output] == [item.type for item in whole.output]


async def test_a_tool_loop_of_three_turns(home: House) -> None:
    tool: Any = {"type": "function", **_flat(pydantic_function_tool(Person, name="f"))}
    home.script.says(CALL)
    history: list[Any] = [{"role": "user", "content": "hi"}]
    for turn in range(3):
        if turn == 2:
            home.script.says("Done.")
        response = await home.sdk.responses.create(
            model=ALIAS, input=history, tools=[tool | {"strict": False}], store=False
        )
        history += [item.to_dict() for item in response.output]
        for item in response.output:
            if item.type == "function_call":
                assert json.loads(item.arguments) == {"x": 1}
                history.append(
                    {"type": "function_call_output", "call_id": item.call_id, "output": str(turn)}
                )
    assert response.output_text == "Done."
    assert [item.get("type", "message") for item in history].count("function_call_output") == 2
    assert home.prompt().count("<|im_start|>tool") == 2


def _flat(tool: Any) -> dict[str, Any]:
    return dict(tool["function"])


def test_parsed_answers_validate(real: OpenAI) -> None:
    parsed = real.responses.parse(model="demo", input="Who are you?", text_format=Verdict)
    assert isinstance(parsed.output_parsed, Verdict)
    with real.responses.stream(model="demo", input="Hello!", text_format=Verdict) as stream:
        done = [event.parsed for event in stream if event.type == "response.output_text.done"]
        assert done == [stream.get_final_response().output_parsed]
    assert isinstance(done[0], Verdict)


def test_an_object_is_an_object(real: OpenAI) -> None:
    response = real.responses.create(
        model="demo",
        input="Give me JSON.",
        text={"format": {"type": "json_object"}},
        max_output_tokens=300,
        temperature=0,
    )
    assert response.status != "completed" or isinstance(json.loads(response.output_text), dict)
    assert response.text is not None and response.text.format is not None
    assert response.text.format.type == "json_object"


@pytest.mark.parametrize(
    "choice", ["required", {"type": "function", "name": "Person"}, {"type": "custom", "name": "note"}]
)  # fmt: skip
def test_a_demanded_call_is_made(real: OpenAI, choice: Any) -> None:
    tools: Any = [{"type": "function", **_flat(pydantic_function_tool(Person))}, CUSTOM]
    response = real.responses.create(
        model="demo",
        input="Hello!",
        tools=tools,
        tool_choice=choice,
        parallel_tool_calls=False,
        max_output_tokens=300,
        temperature=0,
    )
    if response.status == "completed":
        calls = [item for item in response.output if item.type.endswith("_call")]
        assert len(calls) == 1
        if isinstance(choice, dict):
            assert getattr(calls[0], "name", None) == choice["name"]


def test_a_schema_that_cannot_be_enforced_is_refused_by_name(real: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        real.responses.create(
            model="demo",
            input="hi",
            text={"format": {"type": "json_schema", "name": "x", "schema": {"type": "nothing"}}},
        )
    assert caught.value.param == "text.format.schema"


def test_a_real_model_goes_on_from_its_own_answer(real: OpenAI) -> None:
    first = real.responses.create(model="demo", input="Hello!", temperature=0)
    assert first.output_text
    assert first.model == "mlxd-demo"
    second = real.responses.create(
        model="demo", input="What is mlxd?", previous_response_id=first.id, temperature=0
    )
    assert first.usage and second.usage
    assert second.usage.input_tokens > first.usage.total_tokens
    background = real.responses.create(model="demo", input="Hello!", temperature=0, background=True)
    with real.responses.stream(response_id=background.id) as stream:
        assert stream.get_final_response().output_text == first.output_text


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (QueueFull("256 wait"), openai.RateLimitError),
        (InsufficientMemory(needed=3, free=2, budget=1), openai.InternalServerError),
        (WorkerStopFailed("pid 3"), openai.InternalServerError),
    ],
)
async def test_refusals_raise_the_client_s_classes(
    home: House, error: MlxdError, kind: type[openai.APIStatusError]
) -> None:
    home.pool.refusal = error
    with pytest.raises(kind) as caught:
        await home.sdk.responses.create(model=ALIAS, input="hi")
    assert caught.value.code == error.code


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"temperature": -1}, "temperature"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"truncation": "middle"}, "truncation"),
        ({"prompt": {"id": "pmpt_1"}}, "prompt"),
        ({"reasoning": {"effort": "huge"}}, "reasoning.effort"),
        ({"tools": [{"type": "file_search", "vector_store_ids": []}]}, "tools[0].type"),
        ({"tools": [FUNCTION, {"type": "mcp", "server_label": "x"}]}, "tools[1].type"),
        ({"tools": [{"type": "function"}]}, "tools[0].name"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tool_choice": {"type": "function", "name": "g"}}, "tool_choice.name"),
        ({"tool_choice": {"type": "web_search_preview"}}, "tool_choice"),
        ({"text": {"format": {"type": "xml"}}}, "text.format.type"),
        ({"input": 5}, "input"),
        ({"input": [{"type": "poem"}]}, "input[0].type"),
        ({"input": [{"role": "wizard", "content": "x"}]}, "input[0].role"),
        ({"input": [{"role": "user", "content": [{"type": "input_image"}]}]}, "input[0].content[0].image_url"),
        ({"input": [{"type": "function_call", "call_id": "c"}]}, "input[0].name"),
        ({"input": [{"type": "compaction", "encrypted_content": "x"}]}, "input[0].type"),
        ({"input": "x" * 5000}, "input"),
        ({"previous_response_id": "a", "conversation": "b"}, "previous_response_id"),
    ],
)  # fmt: skip
async def test_what_cannot_be_is_named(home: House, changes: dict[str, Any], param: str) -> None:
    body: Any = {"model": ALIAS, "input": "hi"} | changes
    with pytest.raises(openai.BadRequestError) as caught:
        await home.sdk.responses.create(**body)
    assert caught.value.param == param
    assert caught.value.type == "invalid_request_error"


async def test_an_unknown_model_and_a_missing_input_are_named(home: House) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        await home.sdk.responses.create(model="nobody", input="hi")
    assert caught.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError) as refused:
        await home.sdk.responses.create(model=ALIAS)
    assert refused.value.param == "input"


async def test_a_key_is_asked_for_everywhere() -> None:
    async with house(api_key="secret") as home:
        sdk: AsyncOpenAI = home.sdk
        for call in (
            sdk.responses.create(model=ALIAS, input="hi"),
            sdk.responses.retrieve("resp_x"),
            sdk.responses.delete("resp_x"),
            sdk.responses.cancel("resp_x"),
            sdk.conversations.create(),
        ):
            with pytest.raises(openai.AuthenticationError):
                await call
        allowed = sdk.with_options(api_key="secret")
        assert (await allowed.responses.create(model=ALIAS, input="hi")).output_text
