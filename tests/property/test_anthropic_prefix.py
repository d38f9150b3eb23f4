"""A conversation's prompt only ever grows at its end, whatever Claude Code writes anew into each request (F2, F3)."""

import json
from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.tokenizers import ALTERNATING, CHATML, STRICT, byte_tokenizer

from mlxd.protocol import anthropic_messages as wire
from mlxd.workers.api.anthropic_messages import translate
from mlxd.workers.chat.template import PromptWriter

WORDS = st.text("abc é\n", min_size=1, max_size=12).filter(str.strip)
NONCE = st.text("0123456789abcdef", min_size=5, max_size=5)
TEXTS = WORDS | st.lists(
    st.builds(lambda text: {"type": "text", "text": text}, WORDS), min_size=1, max_size=2
)
ENDINGS = {
    CHATML: "<|im_start|>assistant\n<think>\n\n</think>\n\n",
    STRICT: "[assistant]",
    ALTERNATING: "[assistant]",
}
"""What each template writes after the conversation, for the model to go on from."""


def message(role: str) -> st.SearchStrategy[Any]:
    return st.builds(lambda content: {"role": role, "content": content}, TEXTS)


def countdown(number: int) -> dict[str, Any]:
    return {"role": "system", "content": f"<total_tokens>{number} tokens left</total_tokens>"}


@st.composite
def loops(draw: st.DrawFn) -> list[Any]:
    """Give a call and its result."""
    number = draw(st.integers(0, 10**6))
    use = {"type": "tool_use", "id": f"toolu_{number}", "name": "f", "input": {"x": number}}
    result = {"type": "tool_result", "tool_use_id": use["id"], "content": draw(WORDS)}
    return [{"role": "assistant", "content": [use]}, {"role": "user", "content": [result]}]


NOTES = st.lists(message("system"), max_size=2)
PLAIN = st.tuples(message("assistant"), message("user")).map(list)


def sessions(exchange: st.SearchStrategy[list[Any]]) -> st.SearchStrategy[list[list[Any]]]:
    """Give what each request adds to a conversation: what was said, and notes of the system after it."""
    added = st.tuples(exchange, NOTES).map(lambda pair: pair[0] + pair[1])
    first = st.tuples(message("user"), NOTES).map(lambda pair: [pair[0], *pair[1]])
    return st.tuples(first, st.lists(added, max_size=3)).map(lambda pair: [pair[0], *pair[1]])


@cache
def writer(template: str) -> PromptWriter:
    return PromptWriter(byte_tokenizer(template))


def prompt(template: str, messages: list[Any], nonce: str, **fields: Any) -> str:
    """Return the prompt of a request the way Claude Code writes one."""
    billing = f"x-anthropic-billing-header: cc_version=2.1.280.{nonce[:3]}; cc_entrypoint=cli; cch={nonce};"
    system = [{"type": "text", "text": text} for text in (billing, "You are X.")]
    body = {"model": "m", "messages": messages, "system": system} | fields
    asked = translate(wire.decode(json.dumps(body).encode()), callable_here=True)
    speaker = writer(template)
    return str(speaker._tokenizer.decode(list(speaker.render_chat(asked).tokens)))


def check(template: str, session: list[list[Any]], nonces: list[str]) -> None:
    messages: list[Any] = []
    said = ""
    for number, added in enumerate(session):
        messages = [*messages, *added]
        left = countdown(1000 - number)
        text = prompt(template, [*messages, left], nonces[number])
        assert text == prompt(template, messages, nonces[-1]), "the same but for who pays"
        ending = ENDINGS[template]
        assert text.endswith(ending)
        grown = text.removesuffix(ending)
        assert grown.startswith(said)
        said = grown


SESSIONS = {
    CHATML: sessions(PLAIN | loops()),
    STRICT: sessions(PLAIN),
    ALTERNATING: sessions(PLAIN),
}


@pytest.mark.parametrize("template", SESSIONS, ids=["chatml", "strict", "alternating"])
@given(data=st.data())
def test_a_request_leaves_the_prompt_of_the_one_before_as_it_was(
    template: str, data: st.DataObject
) -> None:
    session = data.draw(SESSIONS[template])
    nonces = data.draw(st.lists(NONCE, min_size=len(session) + 1, max_size=len(session) + 1))
    check(template, session, nonces)


def test_two_requests_that_differ_only_in_who_pays_have_the_same_tokens() -> None:
    messages = [{"role": "user", "content": "hi"}]
    tools = [{"name": "f", "input_schema": {"type": "object"}}]
    first, second = [prompt(CHATML, messages, nonce, tools=tools) for nonce in ("fa690", "00000")]
    assert first == second
    assert "cch" not in first and "You are X." in first
