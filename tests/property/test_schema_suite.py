"""The official test suite of JSON Schema: what compiles is kept to, what does not is refused in words."""

import functools
import json
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator
from support.daemon import Daemon
from support.engine_rig import Rig, lane, prompt, request
from support.grammar_walk import Walker
from support.schema_suite import Group, groups
from support.tokenizers import byte_tokenizer

from mlxd.protocol.errors import CallerError
from mlxd.workers.chat import demand
from mlxd.workers.chat.output_format import JsonSchema
from mlxd.workers.engine.grammar import CompiledGrammar, Compiler, GrammarRefused
from mlxd.workers.engine.request import FinishReason, GenerateRequest, Sampling

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

LIMIT = 100
FREE = 8
OTHER_DIALECT = "optional/ecmascript-regex.json"
"""Its patterns mean something else in Python, whose validator cannot judge them."""
OPTIONS = ("--set", "tie_word_embeddings=false")


@functools.cache
def suite() -> list[Group]:
    return groups()


@functools.cache
def walker() -> Walker:
    return Walker(byte_tokenizer())


def compiled(compiler: Compiler, schema: Any) -> CompiledGrammar | str:
    """Return the grammar, or why there is none."""
    try:
        return compiler.compile(demand.of_completion(JsonSchema(schema=schema), {}).text())
    except (CallerError, GrammarRefused) as error:
        return str(error)


@functools.cache
def split() -> tuple[list[tuple[Group, CompiledGrammar]], list[tuple[Group, str]]]:
    """Return the groups that can be enforced, and those that cannot with the reason."""
    kept: list[tuple[Group, CompiledGrammar]] = []
    refused: list[tuple[Group, str]] = []
    for group in suite():
        found = compiled(walker().compiler, group.schema)
        if isinstance(found, str):
            refused.append((group, found))
        else:
            kept.append((group, found))
    return kept, refused


def test_much_of_the_suite_can_be_enforced_and_the_rest_is_refused_in_words() -> None:
    kept, refused = split()
    print(f"\n{len(kept)} of {len(suite())} schemas are enforced")
    assert len(kept) >= 200
    assert all(reason.strip() for _, reason in refused)
    known = {group.file.removesuffix(".json") for group, _ in kept}
    assert known >= {
        "type", "enum", "const", "properties", "required", "additionalProperties", "items", "prefixItems", "minimum",
        "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength", "maxLength", "minItems",
        "maxItems", "maxProperties", "pattern", "patternProperties", "anyOf", "allOf", "oneOf", "ref",
        "infinite-loop-detection", "optional/format/date", "optional/format/uuid", "optional/non-bmp-regex",
    }  # fmt: skip


def test_no_instance_that_is_invalid_can_be_written() -> None:
    kept, _ = split()
    wrong = [
        f"{group}: {text}"
        for group, grammar in kept
        for text in group.invalid
        if walker().accepts(grammar, text)
    ]
    assert wrong == []


def test_nearly_every_instance_that_is_valid_can_be_written() -> None:
    kept, _ = split()
    possible = [walker().accepts(grammar, text) for group, grammar in kept for text in group.valid]
    print(f"\n{sum(possible)} of {len(possible)} valid instances")
    assert sum(possible) >= 0.9 * len(possible)


def test_a_model_that_talks_nonsense_keeps_to_every_schema_beside_rows_that_do_not_notice() -> None:
    import mlx_lm.utils
    from support import tiny_models

    tokenizer: Any = mlx_lm.utils.load_tokenizer(tiny_models.folder("qwen3", *OPTIONS))
    model = lane("qwen3", *OPTIONS)
    compiler = Compiler(tokenizer, model.vocab, [tokenizer.eos_token_id])
    loose = [request(prompt(12 + at, at), 200, Sampling(temperature=0)) for at in range(FREE)]
    held: list[tuple[Group, GenerateRequest]] = []
    for group, _ in split()[0]:
        grammar = compiled(compiler, group.schema)
        assert not isinstance(grammar, str), grammar
        hot = Sampling(temperature=1.5, seed=len(held))
        held.append((group, request(prompt(10, len(held)), LIMIT, hot, grammar=grammar)))

    rig = Rig(model, eos_token_ids=frozenset({tokenizer.eos_token_id}))
    free = rig.submit(*loose)
    uids = rig.submit(*(item for _, item in held))
    rig.finish()

    for uid, item in zip(free, loose, strict=True):
        single = Rig(model, eos_token_ids=frozenset({tokenizer.eos_token_id}))
        (same,) = single.submit(item)
        single.finish()
        assert rig.tokens(uid) == single.tokens(same)
    whole, wrong = 0, []
    for (group, _), uid in zip(held, uids, strict=True):
        assert rig.error(uid) is None, (group, rig.error(uid))
        if rig.reason(uid) is FinishReason.LENGTH or group.file == OTHER_DIALECT:
            continue
        tokens = [token for token in rig.tokens(uid) if token != tokenizer.eos_token_id]
        text = str(tokenizer.decode(tokens))
        whole += 1
        if not Draft202012Validator(group.schema).is_valid(json.loads(text)):
            wrong.append((str(group), group.schema, text))
    print(f"\n{whole} of {len(held)} answers came to their end")
    assert wrong == []
    assert whole >= 0.5 * len(held)


def test_each_schema_that_cannot_be_enforced_is_a_400_that_says_why(shared_daemon: Daemon) -> None:
    _, refused = split()
    asked: dict[str, Any] = {"model": "demo", "max_tokens": 1}
    asked["messages"] = [{"role": "user", "content": "hi"}]
    with httpx.Client(base_url=shared_daemon.url, timeout=60) as http:
        for group, _ in refused:
            form = {"type": "json_schema", "json_schema": {"name": "n", "schema": group.schema}}
            answer = http.post("/v1/chat/completions", json=asked | {"response_format": form})
            assert answer.status_code == 400, (str(group), answer.text)
            error = answer.json()["error"]
            assert error["param"] == "response_format.json_schema.schema", (str(group), error)
            assert len(error["message"]) > len(error["param"]) + 5, (str(group), error)
