"""What is written on the wire reads back as it was, here and in the official client."""

from typing import TypeVar

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from openai.types import Completion as TheirCompletion
from openai.types.chat import ChatCompletion as TheirChat
from openai.types.chat import ChatCompletionChunk as TheirChunk

from mlxd.protocol import openai_chat as chat
from mlxd.protocol import openai_completions as completions
from mlxd.protocol.openai_fields import CompletionTokensDetails, PromptTokensDetails, Usage

T = TypeVar("T")
COUNT = st.integers(0, 2**31)
TEXT = st.text(max_size=20)
LOGPROB = st.floats(-100, 0)
BYTES = st.lists(st.integers(0, 255), max_size=4)
REASON = st.sampled_from(["stop", "length", "tool_calls"])

USAGE = st.builds(
    Usage,
    COUNT,
    COUNT,
    COUNT,
    st.builds(PromptTokensDetails, COUNT),
    st.builds(CompletionTokensDetails, COUNT),
)
TOP = st.builds(chat.TopLogprob, TEXT, LOGPROB, BYTES)
LOGPROBS = st.builds(
    chat.ChoiceLogprobs,
    st.lists(
        st.builds(chat.TokenLogprob, TEXT, LOGPROB, BYTES, st.lists(TOP, max_size=2)), max_size=3
    ),
)
CALLED = st.builds(chat.ToolCallFunction, TEXT, TEXT)
UNSET = st.just(msgspec.UNSET)
MESSAGE = st.builds(
    chat.ResponseMessage,
    content=st.none() | TEXT,
    reasoning_content=UNSET | TEXT,
    tool_calls=UNSET | st.lists(st.builds(chat.ToolCall, TEXT, CALLED), min_size=1, max_size=2),
)
DELTA = st.builds(
    chat.Delta,
    role=UNSET | st.just("assistant"),
    content=UNSET | TEXT,
    reasoning_content=UNSET | TEXT,
    tool_calls=UNSET | st.lists(st.builds(chat.ToolCallChunk, COUNT, TEXT, CALLED), max_size=2),
)
CHAT = st.builds(
    chat.ChatCompletion,
    id=TEXT,
    created=COUNT,
    model=TEXT,
    usage=USAGE,
    choices=st.lists(
        st.builds(
            chat.Choice,
            index=COUNT,
            message=MESSAGE,
            logprobs=st.none() | LOGPROBS,
            finish_reason=REASON,
        ),
        max_size=2,
    ),
)
CHUNK = st.builds(
    chat.ChatCompletionChunk,
    id=TEXT,
    created=COUNT,
    model=TEXT,
    usage=UNSET | st.none() | USAGE,
    choices=st.lists(
        st.builds(
            chat.ChunkChoice,
            index=COUNT,
            delta=DELTA,
            logprobs=st.none() | LOGPROBS,
            finish_reason=st.none() | REASON,
        ),
        max_size=2,
    ),
)
COMPLETION = st.builds(
    completions.Completion,
    id=TEXT,
    created=COUNT,
    model=TEXT,
    usage=UNSET | USAGE,
    choices=st.lists(
        st.builds(
            completions.CompletionChoice,
            index=COUNT,
            text=TEXT,
            finish_reason=st.sampled_from(["stop", "length"]),
        ),
        max_size=2,
    ),
)


def reread(value: T) -> bytes:
    raw = msgspec.json.encode(value)
    assert msgspec.json.decode(raw, type=type(value)) == value
    return raw


@given(value=CHAT)
def test_a_whole_answer_reads_back(value: chat.ChatCompletion) -> None:
    theirs = TheirChat.model_validate_json(reread(value))
    assert len(theirs.choices) == len(value.choices)


@given(value=CHUNK)
def test_a_chunk_reads_back(value: chat.ChatCompletionChunk) -> None:
    theirs = TheirChunk.model_validate_json(reread(value))
    assert len(theirs.choices) == len(value.choices)


@given(value=COMPLETION)
def test_a_completion_reads_back(value: completions.Completion) -> None:
    theirs = TheirCompletion.model_validate_json(reread(value))
    assert len(theirs.choices) == len(value.choices)
