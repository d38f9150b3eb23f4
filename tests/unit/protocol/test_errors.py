"""Every error has a sentence, a code, a status and both renderings, and stands in the table people read."""

import inspect
import re

import msgspec
import pytest

from mlxd.protocol import errors, render
from mlxd.protocol.dialect import Dialect
from mlxd.protocol.errors import (
    ContextLengthExceeded,
    InsufficientMemory,
    MlxdError,
    ModelNotFound,
    RateLimited,
    UnsupportedField,
)

ABSTRACT = {"MlxdError", "CallerError", "CapacityError", "WorkerError"}
EXAMPLES: dict[str, MlxdError] = {
    "UnsupportedField": UnsupportedField("logit_bias"),
    "ContextLengthExceeded": ContextLengthExceeded(9000, 4096),
    "ModelNotFound": ModelNotFound("gtp", ["gpt"]),
    "InsufficientMemory": InsufficientMemory(needed=3, free=2, budget=1),
}
CLASSES = [
    value
    for value in vars(errors).values()
    if inspect.isclass(value) and issubclass(value, MlxdError) and value.__name__ not in ABSTRACT
]


def example(kind: type[MlxdError]) -> MlxdError:
    """Return an instance of an error class."""
    return EXAMPLES.get(kind.__name__) or kind("what went wrong")


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
class TestEveryError:
    """What holds for each class of the tree."""

    def test_it_says_something(self, kind: type[MlxdError]) -> None:
        error = example(kind)
        assert error.message
        assert str(error) == error.message

    def test_its_docstring_is_one_imperative_sentence(self, kind: type[MlxdError]) -> None:
        assert re.fullmatch(r"(Say|Name) .+\.", (kind.__doc__ or "").split("\n\n")[0])

    def test_its_code_and_status_stand_in_the_table(self, kind: type[MlxdError]) -> None:
        row = re.search(rf"[├└]── {kind.__name__} +(.+)", errors.__doc__ or "")
        assert row is not None
        over_http = kind is not errors.ConfigError
        stated = f"{kind.code} +{kind.status}" if over_http else "never over HTTP.*"
        assert re.fullmatch(stated, row[1])

    def test_its_status_fits_its_branch(self, kind: type[MlxdError]) -> None:
        if issubclass(kind, errors.CallerError):
            assert 400 <= kind.status < 500
        elif issubclass(kind, errors.CapacityError):
            assert kind.status in (429, 502, 503, 507)
        else:
            assert kind.status >= 500

    def test_openai_clients_can_parse_it(self, kind: type[MlxdError]) -> None:
        error = example(kind)
        for dialect in (Dialect.OPENAI, Dialect.RESPONSES):
            detail = render.body(error, dialect)["error"]
            assert isinstance(detail, dict)
            assert set(detail) == {"message", "type", "param", "code"}
            assert (detail["message"], detail["code"]) == (error.message, error.code)
            assert detail["param"] == error.field

    def test_anthropic_clients_can_parse_it(self, kind: type[MlxdError]) -> None:
        error = example(kind)
        rendered = render.body(error, Dialect.ANTHROPIC)
        assert rendered["type"] == "error"
        detail = rendered["error"]
        assert isinstance(detail, dict)
        if kind is not ContextLengthExceeded:
            assert detail["message"] == error.message
        assert re.fullmatch(r"[a-z]+(_[a-z]+)*_error|request_too_large", str(detail["type"]))

    def test_ollama_clients_can_parse_it(self, kind: type[MlxdError]) -> None:
        assert render.body(example(kind), Dialect.OLLAMA)["error"] == example(kind).message

    def test_its_last_frame_never_looks_like_a_clean_end(self, kind: type[MlxdError]) -> None:
        for dialect in Dialect:
            frame = render.final_event(example(kind), dialect)
            assert b"[DONE]" not in frame
            assert b"error" in frame
            assert frame.endswith(b"\n")


def test_no_class_is_missing_from_the_table_and_no_row_is_left_over() -> None:
    rows = set(re.findall(r"[├└]── (\w+)", errors.__doc__ or ""))
    assert rows == {kind.__name__ for kind in CLASSES} | ABSTRACT - {"MlxdError"}


def test_codes_are_unique() -> None:
    codes = [kind.code for kind in CLASSES]
    assert len(set(codes)) == len(codes)


def test_a_memory_error_never_speaks_of_context() -> None:
    """Clients shorten the conversation when an error says "context length"."""
    message = InsufficientMemory(needed=30, free=20, budget=10).message
    assert not re.search("context|length", message)
    assert {"30", "20", "10"} <= set(re.findall(r"\d+", message))


def test_an_overflow_names_both_numbers() -> None:
    error = ContextLengthExceeded(9000, 4096)
    assert "9000" in error.message and "4096" in error.message
    assert (error.prompt_tokens, error.limit, error.field) == (9000, 4096, "messages")


def test_claude_code_knows_an_overflow_by_its_sentence() -> None:
    error = ContextLengthExceeded(9000, 4096)
    detail = render.body(error, Dialect.ANTHROPIC)["error"]
    assert isinstance(detail, dict)
    assert detail["message"] == "prompt is too long: 9000 tokens > 4096 maximum"


def test_a_name_that_belongs_to_a_hosted_model_tells_how_to_give_it_to_a_local_one() -> None:
    assert 'aliases: ["claude-*"]' in ModelNotFound("claude-sonnet-4-5").message
    assert 'aliases: ["gpt-*"]' in ModelNotFound("gpt-5").message
    assert "aliases" not in ModelNotFound("qwen").message


def test_an_unknown_name_comes_back_with_near_ones() -> None:
    assert ModelNotFound("gtp", ["gpt", "gpt-2"]).message == (
        "no model is named 'gtp'; did you mean gpt, gpt-2?"
    )
    assert "mlxctl list" in ModelNotFound("gtp").message


@pytest.mark.parametrize(
    "name", ["mlx-community/Qwen3-8B-4bit", "hf.co/mlx-community/Qwen3-8B-4bit"]
)
def test_a_name_of_the_hubs_form_tells_how_to_download_it(name: str) -> None:
    assert "`mlxctl pull mlx-community/Qwen3-8B-4bit`" in ModelNotFound(name).message


@pytest.mark.parametrize(
    "name", ["qwen", "/a", "a/", "a/b/c", "a b/c", "a/b`", "a/b\n", "../x", "-a/b"]
)
def test_a_name_that_no_repository_can_have_is_not_offered_for_download(name: str) -> None:
    assert "mlxctl pull" not in ModelNotFound(name).message


def test_an_endless_name_is_not_sent_back() -> None:
    assert len(ModelNotFound("x" * 10**6).message) < 300


def test_retry_after_is_whole_seconds_and_at_least_one() -> None:
    assert render.headers(RateLimited("slow down", retry_after=0.2)) == {"retry-after": "1"}
    assert render.headers(RateLimited("slow down", retry_after=2.1)) == {"retry-after": "3"}
    assert render.headers(RateLimited("slow down")) == {}


def test_anthropic_clients_hear_overloaded_only_for_what_passes() -> None:
    memory = InsufficientMemory(needed=3, free=2, budget=1)
    assert render.status(memory, Dialect.ANTHROPIC) == 529
    assert render.status(memory, Dialect.OPENAI) == 503
    assert render.status(errors.WorkerDied("gone"), Dialect.ANTHROPIC) == 503
    assert render.status(RateLimited("slow down"), Dialect.ANTHROPIC) == 429


def test_the_responses_frame_is_an_event_of_its_own_shape() -> None:
    frame = render.final_event(UnsupportedField("top_k"), Dialect.RESPONSES)
    name, _, payload = frame.partition(b"\n")
    assert name == b"event: error"
    assert msgspec.json.decode(payload.removeprefix(b"data: ")) == {
        "type": "error",
        "code": "unsupported_field",
        "message": "top_k: is not supported",
        "param": "top_k",
    }
