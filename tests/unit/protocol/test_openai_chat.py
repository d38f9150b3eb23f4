"""A body that can never work is refused by the name of the field at fault."""

import json

import msgspec
import pytest

from mlxd.protocol import openai_chat as wire
from mlxd.protocol.errors import CallerError, InvalidRequest, UnsupportedField
from mlxd.protocol.openai_fields import IGNORED, REFUSED

_HELLO = {"role": "user", "content": "hello"}


def body(**fields: object) -> bytes:
    return json.dumps({"model": "m", "messages": [_HELLO]} | fields).encode()


def refusal(raw: bytes) -> CallerError:
    with pytest.raises(CallerError) as caught:
        wire.decode(raw)
    return caught.value


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"messages": []}, "messages"),
        ({"messages": "hello"}, "messages"),
        ({"messages": [{"content": "x"}]}, "messages[0].role"),
        ({"messages": [_HELLO, {"role": "wizard", "content": "x"}]}, "messages[1].role"),
        ({"messages": [{"role": "user", "content": 3}]}, "messages[0].content"),
        (
            {"messages": [{"role": "user", "content": [{"text": "x"}]}]},
            "messages[0].content[0].type",
        ),
        ({"max_tokens": -1}, "max_tokens"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": "10"}, "max_tokens"),
        ({"max_completion_tokens": 0}, "max_completion_tokens"),
        ({"temperature": "hot"}, "temperature"),
        ({"temperature": -0.1}, "temperature"),
        ({"top_p": 1.5}, "top_p"),
        ({"top_k": 1.5}, "top_k"),
        ({"min_p": -1}, "min_p"),
        ({"repetition_penalty": 0}, "repetition_penalty"),
        ({"presence_penalty": 3}, "presence_penalty"),
        ({"frequency_penalty": "a"}, "frequency_penalty"),
        ({"n": 0}, "n"),
        ({"n": 1000}, "n"),
        ({"seed": 1.5}, "seed"),
        ({"stop": 3}, "stop"),
        ({"stop": ["a", 3]}, "stop[1]"),
        ({"stream": "yes"}, "stream"),
        ({"stream_options": True}, "stream_options"),
        ({"logit_bias": {"1": "a"}}, "logit_bias[...]"),
        ({"logprobs": 2}, "logprobs"),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs"),
        ({"top_logprobs": 3}, "top_logprobs"),
        ({"tools": [{"type": "function", "function": {}}]}, "tools[0].function.name"),
        ({"tools": {"type": "function"}}, "tools"),
        ({"chat_template_kwargs": []}, "chat_template_kwargs"),
        ({"model": 3}, "model"),
    ],
)
def test_a_field_of_the_wrong_kind_is_named(fields: dict[str, object], named: str) -> None:
    error = refusal(body(**fields))
    assert isinstance(error, InvalidRequest)
    assert error.field == named
    assert named in error.message


@pytest.mark.parametrize("missing", ["model", "messages"])
def test_a_missing_field_is_named(missing: str) -> None:
    whole = json.loads(body())
    del whole[missing]
    assert refusal(json.dumps(whole).encode()).field == missing


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_a_field_we_know_and_do_not_implement_is_refused_by_name(name: str) -> None:
    error = refusal(body(**{name: {"asks": "for something"}}))
    assert isinstance(error, UnsupportedField)
    assert error.field == name


def test_a_field_that_asks_for_nothing_is_fine() -> None:
    for name, harmless in REFUSED.items():
        for value in (None, *harmless):
            wire.decode(body(**{name: value}))


@pytest.mark.parametrize("name", [*sorted(IGNORED), "a_field_nobody_knows"])
def test_harmless_and_unknown_fields_are_ignored(name: str) -> None:
    wire.decode(body(**{name: {"any": ["value", 1]}}))


@pytest.mark.parametrize(
    "raw",
    [b"", b"null", b"[]", b"{", b"\xff\xfe", b'{"model": "m", "messages": [NaN]}', b"[" * 9000]
    + [b'{"other": "\xff", ' + body()[1:], b'{"deep": ' + b"[" * 9000 + b"]" * 9000 + b"}"]
    + [body()[:-1] + b', "user": "\\ud800"}', body() + b"x"],
)
def test_what_is_no_json_object_is_the_callers_error(raw: bytes) -> None:
    error = refusal(raw)
    assert error.status == 400
    msgspec.json.encode(error.message)


def test_every_field_at_null_is_not_given() -> None:
    names = set(wire.ChatCompletionRequest.__struct_fields__) - {"model", "messages"}
    assert wire.decode(body(**dict.fromkeys(names))) == wire.decode(body())


def test_arguments_of_past_calls_come_as_text_or_object() -> None:
    for arguments in ('{"a": 1}', {"a": 1}):
        call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": arguments}}
        message = {"role": "assistant", "content": None, "tool_calls": [call]}
        decoded = wire.decode(body(messages=[_HELLO, message]))
        assert decoded.messages[1].tool_calls
        assert decoded.messages[1].tool_calls[0].function.arguments == arguments
