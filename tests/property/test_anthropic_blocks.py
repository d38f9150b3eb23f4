"""However a model's text falls into tokens, a stream of blocks says what the whole answer says; so reads the SDK."""

import json
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import msgspec
from anthropic.lib.streaming._messages import accumulate_event
from anthropic.types import Message as TheirMessage
from anthropic.types import RawMessageStreamEvent as TheirEvent
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter
from support.anthropic_calls import put_together, without_ids
from support.markup_cases import MARKUP, TEXTS, parse
from support.scripted_text import ScriptedText
from support.splits import cut, places

from mlxd.protocol import anthropic_answer as wire
from mlxd.workers.api.anthropic_blocks import BlockCutter, Draft
from mlxd.workers.api.anthropic_messages import Reply
from mlxd.workers.chat.events import Event
from mlxd.workers.chat.markup import Splitter
from mlxd.workers.chat.reader import Reader
from mlxd.workers.engine.request import FinishReason, TokenOutput

THEIRS: TypeAdapter[Any] = TypeAdapter(TheirEvent)
STOPS = st.lists(st.sampled_from(["He", "<b", "🙂", "Hello!", " <", "\n\n\n"]), max_size=2)
REPLY = Reply(id="msg_1", model="m", limit=1000)


def read(
    chunks: list[str], stops: list[str], ended: bool, reasoning: bool
) -> Iterator[list[Event]]:
    """Yield the events of an answer whose n-th token is the n-th chunk, one batch a token."""
    reader = Reader(
        detokenizer=ScriptedText(chunks),
        prompt_tokens=7,
        splitter=Splitter(MARKUP, parse=parse, reasoning=reasoning),
        stops=stops,
    )
    outputs = [TokenOutput(token) for token in range(len(chunks))]
    if ended or not outputs:
        outputs.append(TokenOutput(len(chunks), FinishReason.STOP))
    else:
        outputs[-1] = TokenOutput(len(chunks) - 1, FinishReason.LENGTH)
    for output in outputs:
        yield reader.read([output], cached=3)


def streamed(batches: Iterator[list[Event]], *, shows_thinking: bool = True) -> list[Any]:
    """Return the events of a stream as a client reads them."""
    cutter = BlockCutter(shows_thinking=shows_thinking)
    begun = REPLY.message(wire.Usage(input_tokens=7), [])
    events: list[Any] = [wire.MessageStart(begun)]
    for batch in batches:
        events += cutter.cut(batch)
    assert cutter.finish is not None
    events.append(wire.MessageDelta(REPLY.stop(cutter.finish), REPLY.usage(cutter.finish)))
    events.append(wire.MessageStop())
    return [json.loads(msgspec.json.encode(event)) for event in events]


def whole(batches: Iterator[list[Event]], *, shows_thinking: bool = True) -> Any:
    """Return the whole answer as a client reads it."""
    cutter, draft = BlockCutter(shows_thinking=shows_thinking), Draft()
    for batch in batches:
        for event in cutter.cut(batch):
            draft.add(event)
    assert cutter.finish is not None
    usage, stop = REPLY.usage(cutter.finish), REPLY.stop(cutter.finish)
    return json.loads(msgspec.json.encode(REPLY.message(usage, draft.content, stop)))


@given(
    text=TEXTS,
    ours=places(),
    theirs=places(),
    stops=STOPS,
    ended=st.booleans(),
    reasoning=st.booleans(),
    shown=st.booleans(),
)
def test_a_stream_says_what_the_whole_answer_says(
    text: str,
    ours: list[int],
    theirs: list[int],
    stops: list[str],
    ended: bool,
    reasoning: bool,
    shown: bool,
) -> None:
    answer = whole(read(cut(text, ours), stops, ended, reasoning), shows_thinking=shown)
    events = streamed(read(cut(text, theirs), stops, ended, reasoning), shows_thinking=shown)
    told = put_together((event["type"], event) for event in events)
    assert without_ids(told["content"]) == without_ids(answer["content"])
    for key in ("stop_reason", "stop_sequence", "model", "role", "type"):
        assert told[key] == answer[key]
    counts = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
    assert [told["usage"][count] for count in counts] == [4, 3, 0]
    assert answer["usage"].keys() == told["usage"].keys()


@given(text=TEXTS, where=places(), ended=st.booleans())
def test_the_official_client_puts_a_stream_together_the_same_way(
    text: str, where: list[int], ended: bool
) -> None:
    events = streamed(read(cut(text, where), [], ended, False))
    told = put_together((event["type"], event) for event in json.loads(json.dumps(events)))
    snapshot: Any = None
    for event in events:
        snapshot = accumulate_event(
            event=THEIRS.validate_python(event), current_snapshot=snapshot, json_bufs={}
        )
    theirs = TheirMessage.model_validate(snapshot.to_dict())
    ours = TheirMessage.model_validate(told)
    assert without_ids(theirs.to_dict()["content"]) == without_ids(ours.to_dict()["content"])  # type: ignore[arg-type]
    assert (theirs.stop_reason, theirs.usage) == (ours.stop_reason, ours.usage)


@given(text=TEXTS, where=places())
def test_blocks_follow_each_other_and_are_never_empty(text: str, where: list[int]) -> None:
    answer = whole(read(cut(text, where), [], True, False))
    for first, second in pairwise(block["type"] for block in answer["content"]):
        assert first == "tool_use" or first != second, "two blocks where one would do"
    for block in answer["content"]:
        assert block.get("text", block.get("thinking", "x"))
