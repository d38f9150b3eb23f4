"""However a model's text falls into tokens and hand-overs, the events say the same."""

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st
from support.markup_cases import BAD, GOOD, MARKUP, TEXTS, parse
from support.scripted_text import ScriptedText
from support.splits import cut, places

from mlxd.workers.chat.events import (
    EndReason,
    Event,
    Finish,
    ReasoningDelta,
    TextDelta,
    TokenLogprob,
    ToolCallDelta,
)
from mlxd.workers.chat.markup import Splitter
from mlxd.workers.chat.reader import Reader
from mlxd.workers.engine.request import FinishReason, TokenOutput

STOPS = st.lists(
    st.sampled_from(["He", "lo", "<b", "b>", "🙂", "Hello!", " <", "\n\n\n"]), max_size=3
)


@dataclass
class Said:
    """What a client makes of the events."""

    text: str = ""
    reasoning: str = ""
    calls: list[tuple[str, str]] = field(default_factory=list)
    logprobs: list[TokenLogprob] = field(default_factory=list)
    finish: Finish | None = None

    @property
    def visible(self) -> tuple[str, str, list[tuple[str, str]], EndReason | None]:
        reason = self.finish.reason if self.finish else None
        return self.text, self.reasoning, self.calls, reason


def gather(batches: list[list[Event]]) -> Said:
    said = Said()
    for event in (event for events in batches for event in events):
        assert said.finish is None
        match event:
            case TextDelta():
                said.text += event.text
                said.logprobs += event.logprobs
            case ReasoningDelta():
                said.reasoning += event.text
            case ToolCallDelta():
                assert event.index == len(said.calls)
                said.calls.append((event.name, event.arguments))
            case Finish():
                said.finish = event
    return said


def say(
    chunks: list[str],
    stops: list[str],
    *,
    batch: int = 1,
    ended: bool = True,
    tools: bool = True,
    logprobs: bool = False,
) -> Said:
    splitter = Splitter(MARKUP, parse=parse if tools else None)
    reader = Reader(
        detokenizer=ScriptedText(chunks),
        prompt_tokens=7,
        splitter=splitter,
        stops=stops,
        logprobs=logprobs,
    )
    outputs = [TokenOutput(at, None, -float(at)) for at in range(len(chunks))]
    if ended:
        outputs.append(TokenOutput(10_000, FinishReason.STOP, -1.0))
    else:
        last = outputs.pop()
        outputs.append(TokenOutput(last.token, FinishReason.LENGTH, last.logprob))
    batches = [
        reader.read(outputs[at : at + batch], cached=2) for at in range(0, len(outputs), batch)
    ]
    assert reader.done
    return gather(batches)


@given(
    text=TEXTS.filter(bool),
    at=places(),
    stops=STOPS,
    batch=st.integers(1, 9),
    ended=st.booleans(),
    tools=st.booleans(),
)
def test_every_split_says_the_same(
    text: str, at: list[int], stops: list[str], batch: int, ended: bool, tools: bool
) -> None:
    whole = say([text], stops, ended=ended, tools=tools).visible
    assert say(cut(text, at), stops, batch=batch, ended=ended, tools=tools).visible == whole
    assert say(list(text), stops, batch=batch, ended=ended, tools=tools).visible == whole


@given(text=TEXTS.filter(bool), at=places(), stops=STOPS, batch=st.integers(1, 9))
def test_logprobs_are_those_of_the_tokens_seen_in_the_text(
    text: str, at: list[int], stops: list[str], batch: int
) -> None:
    chunks = cut(text, at)
    one = say(chunks, stops, logprobs=True)
    other = say(chunks, stops, batch=batch, logprobs=True)
    assert one.logprobs == other.logprobs
    tokens = [entry.token for entry in one.logprobs]
    assert tokens == sorted(set(tokens))
    shown = "".join(chunks[token] for token in tokens)
    assert all(char in shown for char in one.text)


@given(text=st.text(alphabet="Helo <b>\n🙂", min_size=1), at=places(), stops=STOPS)
def test_a_stop_string_never_shows(text: str, at: list[int], stops: list[str]) -> None:
    said = say(cut(text, at), stops)
    assert not any(stop in said.text for stop in stops)


@given(text=TEXTS.filter(bool), at=places(), stops=STOPS, ended=st.booleans())
def test_a_stop_string_that_never_comes_changes_nothing(
    text: str, at: list[int], stops: list[str], ended: bool
) -> None:
    free = say(cut(text, at), [], ended=ended)
    stopped = say(cut(text, at), stops, ended=ended)
    assert free.text.startswith(stopped.text)
    if not any(stop in free.text for stop in stops):
        assert stopped.visible == free.visible


def test_usage_counts_every_token_and_those_of_reasoning() -> None:
    said = say(["<think>", "a", "b", "</think>", "c"], [])
    assert said.finish is not None
    usage = said.finish.usage
    assert (usage.prompt, usage.completion, usage.cached, usage.reasoning) == (7, 6, 2, 3)


def test_the_reason_is_why_the_answer_ended() -> None:
    assert say(["c"], []).visible[3] is EndReason.STOP
    assert say(["c"], [], ended=False).visible[3] is EndReason.LENGTH
    assert say([GOOD], []).visible[3] is EndReason.TOOL_CALLS
    assert say([GOOD, "c"], [], ended=False).visible[3] is EndReason.LENGTH
    assert say([BAD], []).visible == (BAD, "", [], EndReason.STOP)
    assert say(["a", "Hello"], ["ll"], ended=False).visible == ("aHe", "", [], EndReason.STOP)


def test_tokens_of_one_hand_over_leave_as_one_delta() -> None:
    reader = Reader(detokenizer=ScriptedText(["a", "b", "", "c"]), prompt_tokens=1)
    outputs = [TokenOutput(at) for at in range(4)]
    assert reader.read(outputs) == [TextDelta("abc")]


def test_what_a_stop_string_might_have_been_is_shown_at_the_end() -> None:
    assert say(["He", "l"], ["Hello"]).text == "Hel"
    assert say(["He", "l"], ["Hello"], ended=False).text == "Hel"
    assert say(["H", GOOD, "e"], ["He"]).visible[:1] == ("He",)
