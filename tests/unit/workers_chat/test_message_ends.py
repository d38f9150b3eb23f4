"""Where messages end is read off the template."""

import pytest
from support.tokenizers import ALTERNATING, CHATML, STRICT, byte_tokenizer

from mlxd.workers.chat.request import ChatRequest, Role, Turn
from mlxd.workers.chat.template import Prompt, PromptWriter

_RULE = Turn(role=Role.SYSTEM, text="rule")
_ASK = Turn(role=Role.USER, text="ask")
_ANSWER = Turn(role=Role.ASSISTANT, text="answer", reasoning="hm")


def _prompt(template: str, *turns: Turn) -> tuple[Prompt, list[str]]:
    """Return the prompt and the texts of the beginnings it names."""
    tokenizer = byte_tokenizer(template)
    writer = PromptWriter(tokenizer)
    prompt = writer.render_chat(ChatRequest(turns=turns))
    writer.close()
    return prompt, [tokenizer.decode(list(prompt.tokens[:end])) for end in prompt.ends]


def test_a_beginning_ends_with_the_marker_of_a_message() -> None:
    prompt, beginnings = _prompt(CHATML, _RULE, _ASK, _ANSWER, _ASK)
    assert len(beginnings) == 4
    assert all(text.endswith("<|im_end|>") for text in beginnings)
    assert beginnings[-1].endswith("ask<|im_end|>")
    assert prompt.system == prompt.ends[0] and beginnings[0].endswith("rule<|im_end|>")


def test_the_next_turn_begins_with_each_of_them() -> None:
    before, _ = _prompt(CHATML, _RULE, _ASK)
    after, _ = _prompt(CHATML, _RULE, _ASK, _ANSWER, _ASK)
    for end in before.ends:
        assert after.tokens[:end] == before.tokens[:end]
    assert after.system == before.system


def test_without_a_system_turn_there_is_no_system_prompt() -> None:
    prompt, _ = _prompt(CHATML, _ASK)
    assert prompt.system == 0 and len(prompt.ends) == 1


@pytest.mark.parametrize("template", [STRICT, ALTERNATING])
def test_a_template_without_such_markers_names_nothing(template: str) -> None:
    prompt, beginnings = _prompt(template, _RULE, _ASK)
    assert beginnings == [] and prompt.system == 0
