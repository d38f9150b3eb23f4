"""What the model wrote as a call becomes one, or stays its text."""

from typing import Any

import pytest
from support.tokenizers import CHATML, byte_tokenizer

from mlxd.workers.chat.request import Tool
from mlxd.workers.chat.tools import ParsedCall, call_parser, read_calls

_CALL = {"name": "f", "arguments": {"a": "é"}}


@pytest.mark.parametrize(
    ("parsed", "calls"),
    [
        (_CALL, (ParsedCall("f", '{"a": "é"}'),)),
        ([_CALL, _CALL], (ParsedCall("f", '{"a": "é"}'),) * 2),
        ({"name": "f"}, (ParsedCall("f", "{}"),)),
        ({"name": "f", "arguments": '{"a":1}'}, (ParsedCall("f", '{"a": 1}'),)),
        ({"name": "f", "arguments": {}, "id": "f:0"}, (ParsedCall("f", "{}", "f:0"),)),
        ({"name": "", "arguments": {}}, None),
        ({"arguments": {}}, None),
        ({"name": "f", "arguments": [1]}, None),
        ({"name": "f", "arguments": None}, None),
        ([_CALL, "f"], None),
        ([], None),
        ("f", None),
        (None, None),
    ],
)
def test_a_parsers_answer_is_checked(parsed: Any, calls: tuple[ParsedCall, ...] | None) -> None:
    assert read_calls(parsed) == calls


def test_the_parser_comes_from_the_template_and_never_raises() -> None:
    parse = call_parser(byte_tokenizer(CHATML), [Tool(name="f")])
    assert parse is not None
    assert parse('\n{"name": "f", "arguments": {"a": 1}}\n') == (ParsedCall("f", '{"a": 1}'),)
    for malformed in ("", "f(1)", "{", '{"name": "f", "arguments": "{"}', "[" * 100_000):
        assert parse(malformed) is None


def test_without_tools_nothing_is_read_as_a_call() -> None:
    assert call_parser(byte_tokenizer(CHATML), []) is None
    assert call_parser(byte_tokenizer("{{ messages }}"), [Tool(name="f")]) is None
