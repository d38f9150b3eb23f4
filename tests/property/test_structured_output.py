"""Whatever the schema, what comes out validates; whatever runs beside it does not notice."""

import functools
import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from support import tiny_models
from support.engine_rig import Rig, alone, lane, prompt, request
from support.grammar_walk import Walker
from support.json_schemas import Schema, schemas
from support.tokenizers import byte_tokenizer

from mlxd.workers.chat import demand
from mlxd.workers.chat.output_format import JsonSchema
from mlxd.workers.engine.grammar import Compiler
from mlxd.workers.engine.request import FinishReason, GenerateRequest, Sampling

ENDS = frozenset({1})
LIMIT = 300


@functools.cache
def walker() -> Walker:
    return Walker(byte_tokenizer())


def notation(schema: Schema) -> str:
    return demand.of_completion(JsonSchema(schema=schema), {}).text()


def is_valid(text: str, schema: Schema) -> bool:
    return Draft202012Validator(schema).is_valid(json.loads(text))


@settings(max_examples=150)
@given(schema=schemas(), seed=st.integers(0, 2**32))
def test_every_text_a_schema_allows_validates(schema: Schema, seed: int) -> None:
    text = walker().walk(walker().compiler.compile(notation(schema)), seed)
    assert is_valid(text, schema), text


@functools.cache
def model() -> tuple[Any, Any]:
    """Give a random model and its tokenizer."""
    import mlx_lm.utils

    options = ("--set", "tie_word_embeddings=false")
    tokenizer = mlx_lm.utils.load_tokenizer(tiny_models.folder("qwen3", *options))
    return lane("qwen3", *options), tokenizer


@functools.cache
def compiler() -> Compiler:
    lane, tokenizer = model()
    return Compiler(tokenizer, lane.vocab, [tokenizer.eos_token_id])


def free(number: int) -> GenerateRequest:
    sampling = Sampling(temperature=0) if number % 2 else Sampling(temperature=1.5, seed=number)
    return request(prompt(12 + number, number), 24, sampling)


@functools.cache
def text_alone(number: int) -> list[int]:
    lane, _ = model()
    return alone(lane, free(number))


@settings(max_examples=12)
@given(wanted=st.lists(schemas(), min_size=1, max_size=8), seed=st.integers(0, 2**32))
def test_a_model_that_talks_nonsense_writes_what_validates_beside_free_rows(
    wanted: list[Schema], seed: int
) -> None:
    lane, tokenizer = model()
    rig = Rig(lane, eos_token_ids=frozenset({tokenizer.eos_token_id}))
    grammars = [compiler().compile(notation(schema)) for schema in wanted]
    hot = [Sampling(temperature=1.5, seed=seed + at) for at in range(len(wanted))]
    asked = [
        request(prompt(10, at), LIMIT, sampling, grammar=grammar)
        for at, (grammar, sampling) in enumerate(zip(grammars, hot, strict=True))
    ]
    first, *rest = rig.submit(*asked), rig.submit(*(free(number) for number in range(4)))
    rig.finish()
    for number, uid in enumerate(rest[0]):
        assert rig.tokens(uid) == text_alone(number)
    for schema, uid in zip(wanted, first, strict=True):
        assert rig.error(uid) is None, rig.error(uid)
        text = tokenizer.decode([t for t in rig.tokens(uid) if t != tokenizer.eos_token_id])
        if rig.reason(uid) is not FinishReason.LENGTH:
            assert is_valid(text, schema), text
