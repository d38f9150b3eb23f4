"""The fields both OpenAI bodies share mean one thing."""

import pytest

from mlxd.protocol import openai_fields
from mlxd.protocol.errors import InvalidRequest


@pytest.mark.parametrize(
    ("given", "stops"),
    [
        (None, ()),
        ("", ()),
        ("a", ("a",)),
        (["a", "", "b", "a"], ("a", "b")),
        ([], ()),
    ],
)
def test_stop_strings_are_told_once_and_never_empty(
    given: str | list[str] | None, stops: tuple[str, ...]
) -> None:
    assert openai_fields.stops(given) == stops


def test_too_many_stop_strings_are_refused() -> None:
    with pytest.raises(InvalidRequest) as caught:
        openai_fields.stops([str(number) for number in range(17)])
    assert caught.value.field == "stop"


def test_a_bias_is_keyed_by_tokens_of_this_model() -> None:
    assert openai_fields.logit_bias({"0": -100, "9": 2.5}, 10) == {0: -100, 9: 2.5}
    assert openai_fields.logit_bias(None, 10) == {}


@pytest.mark.parametrize("key", ["10", "-1", "hello", "", "1e3", "²", "9" * 5000, " 1"])
def test_a_bias_for_no_token_of_this_model_is_refused(key: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        openai_fields.logit_bias({key: 1.0}, 10)
    assert caught.value.field == "logit_bias"
    assert len(caught.value.message) < 200
