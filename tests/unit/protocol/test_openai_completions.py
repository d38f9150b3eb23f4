"""Prompts come in four forms, and anything else is refused by name."""

import json
from typing import Any

import pytest

from mlxd.protocol import openai_completions as wire
from mlxd.protocol.errors import CallerError, UnsupportedField


def body(**fields: object) -> bytes:
    return json.dumps({"model": "m", "prompt": "once"} | fields).encode()


@pytest.mark.parametrize(
    ("given", "prompts"),
    [
        ("once", ["once"]),
        ("", [""]),
        ([1, 2, 3], [[1, 2, 3]]),
        (["once", "twice"], ["once", "twice"]),
        ([[1], [2, 3]], [[1], [2, 3]]),
        (["once", [2, 3]], ["once", [2, 3]]),
    ],
)
def test_a_prompt_is_a_text_or_tokens_or_a_batch_of_either(given: Any, prompts: Any) -> None:
    assert wire.prompts(wire.decode(body(prompt=given)).prompt) == prompts


@pytest.mark.parametrize("given", [[], ["a", 1], [1, [2]], ["x"] * 200])
def test_a_prompt_that_is_neither_names_the_field(given: Any) -> None:
    with pytest.raises(CallerError) as caught:
        wire.prompts(wire.decode(body(prompt=given)).prompt)
    assert caught.value.field == "prompt"


@pytest.mark.parametrize("given", [None, 3, {"a": 1}, [1.5], [True]])
def test_a_prompt_of_the_wrong_type_names_the_field(given: Any) -> None:
    with pytest.raises(CallerError) as caught:
        wire.decode(body(prompt=given))
    assert str(caught.value.field).startswith("prompt")


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"suffix": "end"}, "suffix"),
        ({"best_of": 4}, "best_of"),
        ({"echo": True, "logprobs": 1}, "echo"),
    ],
)
def test_what_is_not_implemented_is_refused_by_name(fields: dict[str, object], named: str) -> None:
    with pytest.raises(UnsupportedField) as caught:
        wire.decode(body(**fields))
    assert caught.value.field == named


def test_best_of_as_many_as_n_asks_for_nothing() -> None:
    assert wire.decode(body(best_of=2, n=2)).n == 2
