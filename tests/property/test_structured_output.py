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
from support.schema_cases import CASES
from support.tokenizers import byte_tokenizer

from mlxd.workers.chat import demand
from mlxd.workers.chat.output_format import JsonSchema
from mlxd.workers.engine.grammar import Compiler
from mlxd.workers.engine.request import FinishReason, GenerateRequest, Sampling

LIMIT = 300


@functools.cache
def walker() -> Walker:
    return Walker(byte_tokenizer())


def notation(schema: Any) -> str:
    return demand.of_completion(JsonSchema(schema=schema), {}).text()


def is_valid(text: str, schema: Any) -> bool:
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


def row(schema: Any, seed: int) -> GenerateRequest:
    grammar = compiler().compile(notation(schema))
    sampling = Sampling(temperature=1.5, seed=seed)
    return request(prompt(10, seed), LIMIT, sampling, grammar=grammar)


def written(rig: Rig, uid: int) -> str | None:
    """Return a row's text, None where it was cut."""
    _, tokenizer = model()
    assert rig.error(uid) is None, rig.error(uid)
    tokens = [token for token in rig.tokens(uid) if token != tokenizer.eos_token_id]
    return None if rig.reason(uid) is FinishReason.LENGTH else str(tokenizer.decode(tokens))


def rig() -> Rig:
    lane, tokenizer = model()
    return Rig(lane, eos_token_ids=frozenset({tokenizer.eos_token_id}))


@settings(max_examples=8)
@given(wanted=st.lists(schemas(), min_size=1, max_size=8), seed=st.integers(0, 2**32))
def test_a_model_that_talks_nonsense_writes_what_validates_beside_free_rows(
    wanted: list[Schema], seed: int
) -> None:
    running = rig()
    held = running.submit(*(row(schema, seed + at) for at, schema in enumerate(wanted)))
    loose = running.submit(*(free(number) for number in range(4)))
    running.finish()
    assert [running.tokens(uid) for uid in loose] == [text_alone(number) for number in range(4)]
    for schema, uid in zip(wanted, held, strict=True):
        text = written(running, uid)
        assert text is None or is_valid(text, schema), text


def test_each_kind_of_schema_is_kept_by_a_model_that_talks_nonsense() -> None:
    running = rig()
    rows = [(case, row(case.schema, seed)) for seed in range(2) for case in CASES]
    uids = running.submit(*(item for _, item in rows))
    running.finish()
    for (case, _), uid in zip(rows, uids, strict=True):
        text = written(running, uid)
        assert text is not None or not case.short, case.about
        assert text is None or is_valid(text, case.schema), (case.about, text)
