"""However a model's text falls into tokens, a streamed response adds up to the whole one."""

import itertools
import json
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from openai.types.responses import Response as TheirResponse
from support.markup_cases import GOOD, MARKUP, TEXTS, parse
from support.openai_responses_calls import nameless, put_together, read
from support.scripted_text import ScriptedText
from support.splits import cut, places

from mlxd.protocol import openai_responses as requests
from mlxd.protocol import openai_responses_events as events
from mlxd.protocol.openai_responses_output import opening
from mlxd.workers.api.openai_responses_draft import Draft
from mlxd.workers.api.openai_responses_tools import toolbox
from mlxd.workers.api.openai_responses_turns import transcript
from mlxd.workers.chat.markup import Splitter
from mlxd.workers.chat.reader import Reader
from mlxd.workers.chat.request import Role
from mlxd.workers.engine.request import FinishReason, TokenOutput

REQUEST = requests.decode(b'{"model": "m", "input": "hi"}')
NOTE = GOOD.replace('"f"', '"note"').replace('{"x": 1}', '{"input": "a\\nb"}')
MORE = st.lists(TEXTS | st.just(NOTE), max_size=3).map("".join)
TOOLBOX = toolbox(
    [
        ("tools[0]", {"type": "function", "name": "f"}),
        ("tools[1]", {"type": "custom", "name": "note"}),
    ]
)


def answer(chunks: list[str], *, ended: bool, batch: int = 1) -> tuple[Any, list[Any]]:
    """Return the finished response and its stream."""
    ids = itertools.count()
    numbers = itertools.count(2)
    draft = Draft(TOOLBOX, numbers=numbers, new_id=lambda prefix: f"{prefix}_{next(ids)}")
    splitter = Splitter(MARKUP, parse=parse)
    reader = Reader(detokenizer=ScriptedText(chunks), prompt_tokens=7, splitter=splitter)
    outputs = [TokenOutput(at) for at in range(len(chunks))]
    if ended:
        outputs.append(TokenOutput(10_000, FinishReason.STOP))
    else:
        outputs[-1] = TokenOutput(outputs[-1].token, FinishReason.LENGTH)
    stream: list[events.Event] = []
    for at in range(0, len(outputs), batch):
        stream += draft.add(reader.read(outputs[at : at + batch], cached=2))
    response = draft.response(opening(REQUEST, id="r", created_at=0, model="m"), now=1)
    kind = events.Completed if response.status == "completed" else events.Incomplete
    stream.append(kind(sequence_number=next(numbers), response=response))
    seen = [event for frame in map(events.frame, stream) for event in _read(frame)]
    return msgspec.to_builtins(response), seen


def _read(frame: bytes) -> list[Any]:
    name, data = frame.decode().rstrip("\n").split("\n")
    return [read(name.removeprefix("event: "), data.removeprefix("data: ").encode())]


@given(text=MORE.filter(bool), at=places(), batch=st.integers(1, 9), ended=st.booleans())
def test_a_stream_adds_up_to_the_whole_response_for_every_split(
    text: str, at: list[int], batch: int, ended: bool
) -> None:
    whole, _ = answer([text], ended=ended)
    TheirResponse.model_validate(whole)
    for chunks, together in ((cut(text, at), batch), (list(text), 1)):
        response, stream = answer(chunks, ended=ended, batch=together)
        final = stream[-1]["response"]
        assert put_together(stream[:-1]) == final["output"]
        assert json.loads(json.dumps(response)) == final
        assert nameless(final["output"]) == nameless(json.loads(json.dumps(whole["output"])))
        assert final["status"] == whole["status"] == ("completed" if ended else "incomplete")
        assert final["usage"]["output_tokens"] == len(chunks) + ended


@given(text=MORE.filter(bool), at=places())
def test_an_answer_sent_back_is_what_was_said(text: str, at: list[int]) -> None:
    _, stream = answer(cut(text, at), ended=True)
    items = stream[-1]["response"]["output"]
    turns = transcript(msgspec.Raw(json.dumps(items).encode()), None).turns
    assert {turn.role for turn in turns} == {Role.ASSISTANT}
    parts = [(item["type"], part["text"]) for item in items for part in item.get("content", ())]
    for kind, said in (
        ("message", [turn.text for turn in turns]),
        ("reasoning", [turn.reasoning or "" for turn in turns]),
    ):
        shown = "".join(text for found, text in parts if found == kind)
        assert "".join("".join(said).split()) == "".join(shown.split())
    calls = [call for turn in turns for call in turn.calls]
    assert [call.id for call in calls] == [item["call_id"] for item in items if "call_id" in item]
    assert all(isinstance(json.loads(call.arguments), dict) for call in calls)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.text(max_size=12),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(
    tools=st.lists(st.dictionaries(st.text(max_size=8), JSON, max_size=3), max_size=3),
    metadata=st.dictionaries(st.text(max_size=8), st.text(max_size=8), max_size=3),
    instructions=st.none() | st.text(max_size=20),
)
def test_what_was_asked_is_shown_as_it_was(
    tools: list[Any], metadata: dict[str, str], instructions: str | None
) -> None:
    body: dict[str, Any] = {"model": "m", "input": "x", "tools": tools, "metadata": metadata}
    body["instructions"] = instructions
    request = requests.decode(json.dumps(body, indent=1).encode())
    response = opening(request, id="r", created_at=0, model="m")
    frame = events.frame(events.Created(sequence_number=0, response=response))
    assert frame.count(b"\n") == 3
    shown = json.loads(frame.split(b"data: ")[1])["response"]
    assert (shown["tools"], shown["metadata"], shown["instructions"]) == (
        tools,
        metadata,
        instructions,
    )
