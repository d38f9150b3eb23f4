"""A schema is held to from end to end, or refused with the reason."""

import functools
import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from support.grammar_walk import Walker
from support.schema_cases import CASES, REFUSED, Case
from support.tokenizers import byte_tokenizer

from mlxd.protocol.errors import InvalidRequest
from mlxd.workers.chat import demand
from mlxd.workers.chat.output_format import JsonSchema
from mlxd.workers.engine.grammar import CompiledGrammar, GrammarRefused


@functools.cache
def walker() -> Walker:
    return Walker(byte_tokenizer())


def compiled(schema: Any) -> CompiledGrammar:
    asked = demand.of_completion(JsonSchema(schema=schema), {})
    return walker().compiler.compile(asked.text())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.about)
def test_valid_texts_may_be_written_and_others_may_not(case: Case) -> None:
    grammar = compiled(case.schema)
    validator = Draft202012Validator(case.schema)
    for text in case.valid:
        assert walker().accepts(grammar, text), text
        assert validator.is_valid(json.loads(text)), text
    assert [text for text in case.invalid if walker().accepts(grammar, text)] == []


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.about)
def test_what_is_written_at_random_validates(case: Case) -> None:
    grammar, validator = compiled(case.schema), Draft202012Validator(case.schema)
    texts = [walker().walk(grammar, seed) for seed in range(12)]
    assert [text for text in texts if not validator.is_valid(json.loads(text))] == []


@pytest.mark.parametrize(("schema", "word"), REFUSED, ids=lambda value: str(value)[:40])
def test_what_can_not_be_enforced_is_refused_with_the_reason(schema: Any, word: str) -> None:
    with pytest.raises((InvalidRequest, GrammarRefused)) as caught:
        compiled(schema)
    assert word in str(caught.value)
