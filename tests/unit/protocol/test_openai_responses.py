"""A body is read or its fault named; an error becomes one of the codes that clients act upon."""

import json
from typing import Any

import msgspec
import pytest

from mlxd.protocol import openai_responses as wire
from mlxd.protocol.errors import (
    CallerError,
    ContextLengthExceeded,
    InsufficientMemory,
    InvalidRequest,
    MlxdError,
    ModelLoadFailed,
    QueueFull,
    RateLimited,
    UnsupportedField,
    WorkerDied,
)
from mlxd.protocol.openai_responses_output import failed, opening


def decode(**fields: Any) -> wire.ResponsesRequest:
    return wire.decode(json.dumps({"model": "m", "input": "hi"} | fields).encode())


def test_what_is_not_given_has_openais_defaults() -> None:
    request = decode()
    assert (request.is_stored, request.conversation_id) == (True, None)
    response = opening(request, id="resp_1", created_at=7, model="the-model")
    assert (response.temperature, response.top_p, response.tool_choice) == (1.0, 1.0, "auto")
    assert response.text == {"format": {"type": "text"}, "verbosity": "medium"}
    assert response.parallel_tool_calls is True
    assert (response.status, response.output) == ("in_progress", ())


def test_a_conversation_is_named_by_its_id_or_as_an_object() -> None:
    assert decode(conversation="c").conversation_id == "c"
    assert decode(conversation={"id": "c"}).conversation_id == "c"


def test_names_that_nobody_knows_are_ignored() -> None:
    assert decode(client_metadata={"a": 1}, generate=True, whatever=[1]).model == "m"
    for name in wire.IGNORED - {"keep_alive"}:
        assert decode(**{name: {"any": "thing"}}).model == "m"


def test_null_is_not_given() -> None:
    names = [name for name in wire.ResponsesRequest.__struct_fields__ if name != "model"]
    request = decode(**{name: None for name in names if name != "input"})
    assert request.tools is None


@pytest.mark.parametrize(
    ("fields", "field", "kind"),
    [
        ({"input": None}, "input", InvalidRequest),
        ({"previous_response_id": "a", "conversation": "b"}, "previous_response_id",
         InvalidRequest),
        ({"background": True, "store": False}, "background", InvalidRequest),
        ({"truncation": "middle"}, "truncation", InvalidRequest),
        ({"prompt": {"id": "p"}}, "prompt", UnsupportedField),
        ({"moderation": {"model": "x"}}, "moderation", UnsupportedField),
        ({"n": 2}, "n", UnsupportedField),
        ({"response_format": {"type": "json_object"}}, "response_format", UnsupportedField),
        ({"text": {"format": {"type": "xml"}}}, "text.format.type", InvalidRequest),
        ({"text": {"format": {}}}, "text.format.type", InvalidRequest),
        ({"text": {"format": {"type": "json_schema", "name": "x"}}}, "text.format.schema",
         InvalidRequest),
        ({"top_logprobs": 21}, "top_logprobs", InvalidRequest),
        ({"metadata": {"a": 1}}, "metadata[...]", InvalidRequest),
        ({"conversation": {}}, "conversation.id", InvalidRequest),
    ],
)  # fmt: skip
def test_a_fault_is_named(fields: dict[str, Any], field: str, kind: type[CallerError]) -> None:
    with pytest.raises(kind) as caught:
        decode(**fields)
    assert caught.value.field == field


def test_an_input_may_be_missing_where_something_comes_before() -> None:
    assert wire.items(decode(input=None, previous_response_id="a").input) == []
    body = b'{"model": "m", "conversation": "c"}'
    assert wire.items(wire.decode(body).input) == []


def test_items_stay_as_they_came() -> None:
    found = wire.items(wire.decode(b'{"model":"m","input":[{"a" : 1},  2]}').input)
    assert [bytes(item) for item in found] == [b'{"a" : 1}', b"2"]  # type: ignore[arg-type]
    with pytest.raises(InvalidRequest):
        wire.items(msgspec.Raw(b"5"))


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ContextLengthExceeded(9, 8, "input"), "context_length_exceeded"),
        (QueueFull("full"), "rate_limit_exceeded"),
        (RateLimited("slow down"), "rate_limit_exceeded"),
        (InvalidRequest("tools: no", field="tools"), "invalid_prompt"),
        (InsufficientMemory(needed=3, free=2, budget=1), "server_error"),
        (ModelLoadFailed("no such file"), "server_error"),
        (WorkerDied("gone"), "server_error"),
    ],
)
def test_a_failure_has_a_code_that_clients_know_and_ours_beside_it(
    error: MlxdError, code: str
) -> None:
    response = failed(opening(decode(), id="r", created_at=0, model="m"), error)
    assert response.status == "failed"
    assert response.error is not None
    assert (response.error.code, response.error.type) == (code, error.code)
    assert (response.error.message, response.error.param) == (error.message, error.field)
