"""However a model's text falls into tokens, Ollama's lines say what the whole answer says; so reads its client."""

import json
from collections.abc import Iterator
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from ollama import ChatResponse, GenerateResponse
from support.markup_cases import MARKUP, TEXTS, parse
from support.ollama_calls import plain, put_together
from support.scripted_text import ScriptedText
from support.splits import cut, places

from mlxd.protocol import ollama_answer
from mlxd.workers.api.ollama_answers import CHAT, GENERATE, Piece, Reply, Stopwatch
from mlxd.workers.chat.events import Event, Finish
from mlxd.workers.chat.markup import Splitter
from mlxd.workers.chat.reader import Reader
from mlxd.workers.chat.token_text import TokenText
from mlxd.workers.engine.request import FinishReason, TokenOutput

STOPS = st.lists(st.sampled_from(["He", "<b", "🙂", "Hello!", " <", "\n\n\n"]), max_size=2)
PATHS = st.sampled_from([CHAT, GENERATE])
TOKENS: Any = None


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


def reply(path: str) -> Reply:
    """Return a reply that shows no log-probabilities."""
    nothing: TokenText = TOKENS
    return Reply(path=path, model="m", token_text=nothing)


def streamed(path: str, batches: Iterator[list[Event]]) -> list[Any]:
    """Return the lines of a stream as a client reads them."""
    watch, found = Stopwatch(queued=5), []
    for batch in batches:
        for event in batch:
            piece = Piece()
            piece.add(event)
            totals = watch.totals(event) if isinstance(event, Finish) else None
            found.append(told(reply(path).line(piece, totals)))
    return found


def whole(path: str, batches: Iterator[list[Event]]) -> Any:
    """Return the whole answer as a client reads it."""
    watch, piece, totals = Stopwatch(queued=5), Piece(), None
    for batch in batches:
        for event in batch:
            piece.add(event)
            totals = watch.totals(event) if isinstance(event, Finish) else None
    return told(reply(path).line(piece, totals))


def told(line: ollama_answer.Line) -> Any:
    """Return a line as JSON says it; it reads back as it was."""
    raw = msgspec.json.encode(line)
    assert b"\n" not in raw
    return json.loads(raw)


@given(
    path=PATHS,
    text=TEXTS,
    ours=places(),
    theirs=places(),
    stops=STOPS,
    ended=st.booleans(),
    reasoning=st.booleans(),
)
def test_a_stream_says_what_the_whole_answer_says(
    path: str,
    text: str,
    ours: list[int],
    theirs: list[int],
    stops: list[str],
    ended: bool,
    reasoning: bool,
) -> None:
    answer = whole(path, read(cut(text, ours), stops, ended, reasoning))
    lines = streamed(path, read(cut(text, theirs), stops, ended, reasoning))
    one, other = plain(answer), put_together(lines)
    counted = one.pop("eval_count"), other.pop("eval_count")
    assert one == other
    if ours == theirs:
        assert counted[0] == counted[1]


@given(path=PATHS, text=TEXTS, where=places(), ended=st.booleans())
def test_the_official_client_reads_every_line(
    path: str, text: str, where: list[int], ended: bool
) -> None:
    kind = ChatResponse if path == CHAT else GenerateResponse
    lines = streamed(path, read(cut(text, where), [], ended, False))
    theirs = [kind(**line) for line in lines]
    assert [line.done for line in theirs] == [False] * (len(theirs) - 1) + [True]
    assert theirs[-1].prompt_eval_count == 7
    assert theirs[-1].load_duration == 5
    answer = put_together(lines)
    assert answer["done_reason"] == ("stop" if ended or not text else "length")
