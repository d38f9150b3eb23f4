"""A conversation reaches every template in the terms it takes, or is refused in the template's own words."""

import asyncio

import pytest
from support.tokenizers import ALTERNATING, CHATML, STRICT, byte_tokenizer

from mlxd.protocol.errors import InvalidRequest
from mlxd.workers.chat.request import ChatRequest, PastCall, Role, Tool, Turn
from mlxd.workers.chat.template import PromptWriter

_ASK = Turn(role=Role.USER, text="ask")
_ANSWER = Turn(role=Role.ASSISTANT, text="answer")
_RULE = Turn(role=Role.SYSTEM, text="rule")


def _text(template: str, *turns: Turn, **options: object) -> str:
    tokenizer = byte_tokenizer(template)
    writer = PromptWriter(tokenizer)
    prompt = writer.render_chat(ChatRequest(turns=turns, template_options=options))
    writer.close()
    return str(tokenizer.decode(list(prompt.tokens)))


@pytest.mark.parametrize("template", [CHATML, STRICT, ALTERNATING])
@pytest.mark.parametrize(
    "turns",
    [
        (_RULE, _ASK),
        (_RULE, _RULE, _ASK),
        (_ASK, _RULE),
        (_ASK, _ANSWER, _RULE, _ASK),
        (_ASK, _ANSWER, _ASK, _RULE, _RULE),
        (_RULE,),
        (_ASK, _ASK),
    ],
)
def test_any_order_of_system_turns_renders_on_every_template(
    template: str, turns: tuple[Turn, ...]
) -> None:
    text = _text(template, *turns)
    assert text.count("rule") == turns.count(_RULE)
    assert text.count("ask") == turns.count(_ASK)


@pytest.mark.parametrize("template", [CHATML, STRICT, ALTERNATING])
@pytest.mark.parametrize("added", [_RULE, _ASK, _ANSWER])
def test_an_added_turn_leaves_the_tokens_of_earlier_turns_alone(template: str, added: Turn) -> None:
    before = (_RULE, _ASK, _ANSWER, Turn(role=Role.USER, text="last-of-before"))
    kept = _text(template, *before).partition("last-of-before")[0] + "last-of-before"
    assert _text(template, *before, added).startswith(kept)


def test_what_a_template_refuses_is_the_callers_error_in_its_own_words() -> None:
    with pytest.raises(InvalidRequest, match="roles must alternate") as caught:
        _text(ALTERNATING, _ANSWER, _ASK)
    assert caught.value.field == "messages"


def test_a_model_without_a_template_says_so() -> None:
    writer = PromptWriter(byte_tokenizer(None))
    with pytest.raises(InvalidRequest, match="no chat template"):
        writer.render_chat(ChatRequest(turns=(_ASK,)))


@pytest.mark.parametrize("arguments", ['{"a": 1}', ""])
def test_past_calls_render_as_the_model_wrote_them(arguments: str) -> None:
    call = PastCall(id="c1", name="f", arguments=arguments)
    text = _text(CHATML, _ASK, Turn(role=Role.ASSISTANT, calls=(call,)))
    written = arguments or "{}"
    assert f'<tool_call>\n{{"name": "f", "arguments": {written}}}\n</tool_call>' in text


@pytest.mark.parametrize(
    ("template", "wanted"),
    [
        ("{% for k, v in arguments.items() %}{{ k }}={{ v }}{% endfor %}", "key=text"),
        ("{{ arguments }}", '{"key": "text"}'),
        ("{{ arguments + '!' }}", '{"key": "text"}!'),
        ("{{ arguments | tojson }}", '{"key": "text"}'),
    ],
)
def test_arguments_come_in_the_form_the_template_takes(template: str, wanted: str) -> None:
    whole = (
        "{% for m in messages %}{{ m.content }}{% for c in m.tool_calls or [] %}"
        "{% set arguments = c.function.arguments %}" + template + "{% endfor %}{% endfor %}"
    )
    call = PastCall(id="c1", name="f", arguments='{"key": "text"}')
    assert wanted in _text(whole, _ASK, Turn(role=Role.ASSISTANT, calls=(call,)))


def test_a_tool_result_carries_the_name_of_the_call_it_answers() -> None:
    template = "{% for m in messages %}{{ m.role }}:{{ m.name }}:{{ m.content }};{% endfor %}"
    call = PastCall(id="c1", name="get_weather", arguments="{}")
    result = Turn(role=Role.TOOL, text="sunny", call_id="c1")
    text = _text(template, _ASK, Turn(role=Role.ASSISTANT, calls=(call,)), result)
    assert "tool:get_weather:sunny;" in text


def test_reasoning_is_open_only_where_the_rendered_prompt_ends_inside_it() -> None:
    writer = PromptWriter(byte_tokenizer(CHATML))

    def opens(text: str, **options: object) -> bool:
        turn = Turn(role=Role.USER, text=text)
        return writer.render_chat(
            ChatRequest(turns=(turn,), template_options=options)
        ).opens_reasoning

    assert opens("hi", enable_thinking=True)
    assert not opens("hi", enable_thinking=False)
    assert not opens("hi")
    assert not opens("what is <think>")
    writer.close()


def test_tools_stand_in_the_prompt() -> None:
    tokenizer = byte_tokenizer(CHATML)
    writer = PromptWriter(tokenizer)
    tool = Tool(name="add", parameters={"type": "object", "properties": {"a": {}}})
    prompt = writer.render_chat(ChatRequest(turns=(_ASK,), tools=(tool,)))
    assert '"name": "add"' in tokenizer.decode(list(prompt.tokens))
    writer.close()


async def test_prompts_are_written_off_the_event_loop_by_many_at_once() -> None:
    """E13: no tokenizer is found "already borrowed"."""
    tokenizer = byte_tokenizer(CHATML)
    writer = PromptWriter(tokenizer)
    turns = [(Turn(role=Role.USER, text=f"{index} " * 200),) for index in range(64)]
    prompts = await asyncio.gather(*(writer.chat(ChatRequest(turns=turn)) for turn in turns))
    for prompt, (turn,) in zip(prompts, turns, strict=True):
        assert turn.text in tokenizer.decode(list(prompt.tokens))
    writer.close()
