"""Which models can be asked to reason: their template says so, a vocabulary they share with others does not."""

from collections.abc import Sequence

import pytest
from support.call_formats import HARMONY_MARKERS
from support.scripted_engine import ScriptedEngine
from support.tokenizers import ADDED, ALTERNATING, CHATML, STRICT, byte_tokenizer

from mlxd.protocol import template_words
from mlxd.workers.chat.pipeline import Pipeline

OPENS = STRICT + "{{- '<think>\\n' }}"
"""As DeepSeek R1's: every answer begins with reasoning."""
CUTS = STRICT.replace("message.content", "message.content.split('</think>')[-1]")
"""As the templates of its small models: reasoning is never written, only cut away."""
SWITCHES = (
    STRICT + "{%- if enable_thinking is defined and enable_thinking %}{{ 'Ponder.' }}{% endif %}"
)
HARMONY = "<|channel|><|message|>{{ reasoning_effort }}"
PLAIN = ("<tool_call>", "</tool_call>")


def thinks(template: str | None, added: Sequence[str]) -> bool:
    """Say whether a model with this template and these markers can be asked to reason."""
    tokenizer = byte_tokenizer(template, added)
    engine = ScriptedEngine(tokenizer, lambda request: [])
    pipeline = Pipeline(engine.model, engine.engine)
    try:
        return pipeline.thinks
    finally:
        pipeline.close()
        engine.stop()


@pytest.mark.parametrize(
    ("template", "added", "can"),
    [
        (STRICT, ADDED, False),
        (ALTERNATING, ADDED, False),
        (CHATML, ADDED, True),
        (OPENS, ADDED, True),
        (CUTS, ADDED, True),
        (SWITCHES, ADDED, True),
        (SWITCHES, PLAIN, True),
        (STRICT, PLAIN, False),
        (CUTS, PLAIN, False),
        (HARMONY, HARMONY_MARKERS, True),
    ],
)
def test_a_model_thinks_whose_template_knows_of_it_and_whose_thoughts_can_be_told(
    template: str, added: Sequence[str], can: bool
) -> None:
    assert thinks(template, added) is can


@pytest.mark.parametrize("template", [CHATML, OPENS, CUTS, SWITCHES, HARMONY])
def test_the_words_of_a_template_say_the_same_without_its_tokenizer(template: str) -> None:
    assert template_words.thinks(template)
    assert not template_words.thinks(STRICT) and not template_words.thinks(ALTERNATING)


@pytest.mark.parametrize(
    "mark",
    ["<think>", "</think>", "<longcat_think>", "<|think:start|>", "<|channel>thought", "<|open|>think<|sep|>"],
)  # fmt: skip
def test_every_mark_that_can_be_read_is_a_word_of_them(mark: str) -> None:
    assert template_words.thinks("{{ '" + mark + "' }}")
