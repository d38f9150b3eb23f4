"""The official client gets back what it declared: through the daemon, from the demo model, at any temperature."""

import json
from collections.abc import Iterator
from datetime import date
from enum import Enum
from typing import Annotated, Any, Literal

import openai
import pytest
from jsonschema import Draft202012Validator
from pydantic import BaseModel, Field
from support.daemon import Daemon
from support.json_schemas import Schema

SHORT = Annotated[str, Field(max_length=12)]
QUESTION: Any = [{"role": "user", "content": "What is the weather in Paris?"}]
LIMIT = 400


class Unit(Enum):
    """How degrees are counted."""

    CELSIUS = "celsius"
    FAHRENHEIT = "fahrenheit"


class Day(BaseModel):
    """Hold one day's weather."""

    when: date
    degrees: Annotated[float, Field(ge=-90, le=60)]
    sky: Literal["clear", "cloudy"]
    note: SHORT | None


class Forecast(BaseModel):
    """Hold what the client asks for."""

    city: SHORT
    unit: Unit
    days: Annotated[list[Day], Field(min_length=1, max_length=2)]


class GetWeather(BaseModel):
    """Ask for the weather."""

    city: SHORT
    days: Annotated[int, Field(ge=1, le=9)]


class SendMail(BaseModel):
    """Send a mail."""

    to: SHORT
    urgent: bool


TOOLS = [openai.pydantic_function_tool(GetWeather), openai.pydantic_function_tool(SendMail)]
OFFERED: Any = TOOLS
MODELS: dict[str, type[BaseModel]] = {"GetWeather": GetWeather, "SendMail": SendMail}


@pytest.fixture
def sdk(shared_daemon: Daemon) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{shared_daemon.url}/v1", api_key="none", max_retries=0) as client:
        yield client


@pytest.mark.parametrize("temperature", [0.0, 1.5])
def test_parse_returns_what_was_declared(sdk: openai.OpenAI, temperature: float) -> None:
    done = sdk.chat.completions.parse(
        model="demo", messages=QUESTION, response_format=Forecast, temperature=temperature, seed=3,
        max_tokens=LIMIT,
    )  # fmt: skip
    (choice,) = done.choices
    assert isinstance(choice.message.parsed, Forecast), choice.message.content
    assert choice.finish_reason == "stop"


def test_a_stream_is_parsed_at_its_end(sdk: openai.OpenAI) -> None:
    with sdk.chat.completions.stream(
        model="demo", messages=QUESTION, response_format=Forecast, temperature=1.5, seed=4,
        max_tokens=LIMIT,
    ) as stream:  # fmt: skip
        kinds = {event.type for event in stream}
        final = stream.get_final_completion()
    assert "content.delta" in kinds
    assert isinstance(final.choices[0].message.parsed, Forecast)


def test_reasoning_comes_before_the_answer_and_apart_from_it(sdk: openai.OpenAI) -> None:
    done = sdk.chat.completions.parse(
        model="demo", messages=QUESTION, response_format=Forecast, temperature=0,
        reasoning_effort="high", max_tokens=LIMIT,
    )  # fmt: skip
    message = done.choices[0].message
    assert isinstance(message.parsed, Forecast)
    assert getattr(message, "reasoning_content", None)


@pytest.mark.parametrize(
    ("choice", "names"),
    [
        ("required", {"GetWeather", "SendMail"}),
        ({"type": "function", "function": {"name": "SendMail"}}, {"SendMail"}),
    ],
)
def test_a_demanded_call_is_parsed(sdk: openai.OpenAI, choice: Any, names: set[str]) -> None:
    for seed in range(4):
        done = sdk.chat.completions.parse(
            model="demo", messages=QUESTION, tools=OFFERED, tool_choice=choice, temperature=1.5,
            seed=seed, max_tokens=LIMIT,
        )  # fmt: skip
        (answer,) = done.choices
        assert answer.finish_reason == "tool_calls"
        calls = answer.message.tool_calls or []
        assert calls and not answer.message.content
        for call in calls:
            assert call.function.name in names
            assert isinstance(call.function.parsed_arguments, MODELS[call.function.name])


def test_a_call_by_choice_keeps_to_a_strict_tool(sdk: openai.OpenAI) -> None:
    done = sdk.chat.completions.parse(
        model="demo", messages=QUESTION, tools=OFFERED, temperature=0, max_tokens=LIMIT
    )
    for call in done.choices[0].message.tool_calls or []:
        assert isinstance(call.function.parsed_arguments, MODELS[call.function.name])


SCHEMA: Schema = {
    "type": "object",
    "properties": {"a": {"type": "integer", "maximum": 9}, "b": {"enum": ["x", None]}},
    "required": ["a", "b"],
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    "fields",
    [
        {
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "n", "schema": SCHEMA},
            }
        },
        {"response_format": {"type": "json_object", "schema": SCHEMA}},
        {"extra_body": {"structured_outputs": {"json": json.dumps(SCHEMA)}}},
    ],
    ids=["json_schema", "json_object with a schema", "structured_outputs"],
)
def test_a_schema_may_come_in_any_of_the_known_places(
    sdk: openai.OpenAI, fields: dict[str, Any]
) -> None:
    made = sdk.chat.completions.create(
        model="demo", messages=QUESTION, temperature=1.5, max_tokens=LIMIT, n=3, seed=1, **fields
    )
    texts = [choice.message.content or "" for choice in made.choices]
    assert all(Draft202012Validator(SCHEMA).is_valid(json.loads(text)) for text in texts), texts
    plain = sdk.completions.create(
        model="demo",
        prompt="So:",
        temperature=1.5,
        max_tokens=LIMIT,
        seed=1,
        extra_body=fields.get("extra_body", fields),
    )
    assert Draft202012Validator(SCHEMA).is_valid(json.loads(plain.choices[0].text))


@pytest.mark.parametrize(
    ("fields", "named", "reason"),
    [
        (
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "n", "schema": {"not": {}}},
                }
            },
            "response_format.json_schema.schema",
            'Unimplemented keys: ["not"]',
        ),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "n"}}},
            "response_format.json_schema.schema",
            "required",
        ),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema", "required"),
        ({"response_format": {"type": "yaml"}}, "response_format.type", "json_schema"),
        (
            {"response_format": {"type": "grammar", "grammar": "start: x"}},
            "response_format.grammar",
            'unknown name: "x"',
        ),
        ({"response_format": {"type": "grammar"}}, "response_format.grammar", "required"),
        ({"structured_outputs": {"regex": "("}}, "structured_outputs.regex", "unclosed group"),
        (
            {"structured_outputs": {"json": "{"}},
            "structured_outputs.json",
            "expected a JSON schema",
        ),
        ({"structured_outputs": {"choice": []}}, "structured_outputs.choice", "not empty"),
        ({"structured_outputs": {}}, "structured_outputs", "one of"),
        ({"structured_outputs": {"regex": "a", "choice": ["a"]}}, "structured_outputs", "got 2"),
        (
            {
                "structured_outputs": {"structural_tag": {}, "regex": "a"},
                "response_format": {"type": "json_object"},
            },
            "structured_outputs",
            "either",
        ),
        (
            {"structured_outputs": {"whitespace_pattern": "x", "regex": "a"}},
            "structured_outputs.whitespace_pattern",
            "not supported",
        ),
        (
            {
                "tools": [{"type": "function", "function": {"name": "f"}}],
                "tool_choice": {"type": "function", "function": {"name": "g"}},
            },
            "tool_choice",
            "no tool is named 'g'",
        ),
        ({"tool_choice": "required"}, "tool_choice", "no tool to call"),
        (
            {
                "tools": [
                    {
                        "type": "function",
                        "function": {"name": "f", "strict": True, "parameters": {"not": {}}},
                    }
                ]
            },
            "tools[0].function.parameters",
            "not",
        ),
    ],
)
def test_what_can_not_be_enforced_is_a_400_that_says_why(
    sdk: openai.OpenAI, fields: dict[str, Any], named: str, reason: str
) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        sdk.chat.completions.create(model="demo", messages=QUESTION, extra_body=fields)
    assert caught.value.param == named
    assert reason in caught.value.message
