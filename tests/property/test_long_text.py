"""What is told of a long text by its beginning is true of the whole, and whoever fits has the tokens he always had."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.source import ROOT
from support.tiny_models import folder
from support.tokenizers import byte_tokenizer, sentence_piece, word_piece
from tokenizers import Tokenizer

from mlxd.protocol.errors import ContextLengthExceeded, InvalidRequest
from mlxd.workers import long_text
from mlxd.workers.chat.request import ChatRequest, Role, Turn
from mlxd.workers.chat.template import PromptWriter
from mlxd.workers.embedding.words import Words

WINDOW = 200
KINDS = ("bytes", "pieces", "stripped", "words", "demo", "bert")
SCRAPS = (
    "the cat runs, and ", " ", "\n\n", "   ", "a", "running" * 9, "12345", "世界", "é", "e\u0301", "\0",
    "<|im_start|>", "<|im_end|>", "[SEP]", "x" * 130, "!?", "\t", "```py\n    return {}\n", "👩‍👩‍👧", "ﬁ",
)  # fmt: skip

texts = st.lists(
    st.tuples(st.sampled_from(SCRAPS) | st.text(min_size=1, max_size=9), st.integers(1, 300)),
    max_size=6,
).map(lambda parts: "".join(part * times for part, times in parts))
relaxed = settings(
    max_examples=60, deadline=None, suppress_health_check=list(HealthCheck)
)  # tokenizers are read once, and pieces made small for all examples alike


def core_of(kind: str) -> Any:
    """Return a Rust tokenizer of its own."""
    match kind:
        case "demo":
            return Tokenizer.from_file(str(ROOT / "config" / "demo_model" / "tokenizer.json"))
        case "bert":
            return Tokenizer.from_file(str(folder("bert_reranker") / "tokenizer.json"))
        case _:
            made = {
                "bytes": byte_tokenizer, "pieces": lambda: sentence_piece(strip=False),
                "stripped": lambda: sentence_piece(strip=True), "words": word_piece,
            }  # fmt: skip
            return made[kind]().backend_tokenizer


@pytest.fixture(scope="module", params=KINDS)
def core(request: pytest.FixtureRequest) -> Any:
    """Give each tokenizer."""
    found = core_of(request.param)
    found.no_truncation()
    found.no_padding()
    return found


@pytest.fixture(autouse=True)
def _small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(long_text, "PIECE", 500)
    monkeypatch.setattr(long_text, "SHORT", 1)
    monkeypatch.setattr(long_text, "_LOOK_BACK", 50)


@relaxed
@given(text=texts)
def test_tokens_are_those_of_the_plain_encoding(core: Any, text: str) -> None:
    for special in (False, True):
        plain = core.encode(text, add_special_tokens=special).ids
        assert long_text.encode(core, text, special=special).ids == plain


@relaxed
@given(text=texts, window=st.integers(1, 2000))
def test_a_beginning_is_too_long_only_where_the_whole_is_and_begins_with_its_tokens(
    core: Any, text: str, window: int
) -> None:
    def ids(part: str) -> list[int]:
        return list(core.encode(part, add_special_tokens=False).ids)

    found = long_text.beginning(text, window, lambda part: len(ids(part)), "prompt")
    if found is not None:
        whole = ids(text)
        assert window < found.tokens <= len(whole)
        assert text.startswith(found.text)
        assert ids(found.text)[:window] == whole[:window]


@relaxed
@given(text=texts, truncate=st.booleans())
def test_a_text_for_an_encoder_is_read_as_if_nothing_were_counted_first(
    core: Any, text: str, truncate: bool
) -> None:
    words = Words(core, WINDOW, pad_id=0)
    try:
        found = words.row(text or "a", field="input", truncate=truncate).ids
    except ContextLengthExceeded as error:
        assert WINDOW < error.prompt_tokens <= len(core.encode(text).ids) and not truncate
    else:
        whole = tuple(core.encode(text or "a").ids)
        if len(whole) > WINDOW:
            end = len(words._after)
            whole = (*whole[: WINDOW - end], *whole[len(whole) - end :])
        assert found == whole


@relaxed
@given(query=texts, document=texts)
def test_a_pair_is_read_as_if_nothing_were_counted_first(
    core: Any, query: str, document: str
) -> None:
    words = Words(core, WINDOW, pad_id=0)
    query, document = query or "a", document or "a"
    whole = core.encode(query, document)
    try:
        found = words.pair(query, document, field="documents[0]")
    except ContextLengthExceeded as error:
        assert len(core.encode(query, add_special_tokens=False).ids) + 4 > WINDOW
        assert error.field == "query" and WINDOW < error.prompt_tokens <= len(whole.ids)
    else:
        assert len(found) == min(len(whole.ids), WINDOW)
        if len(found) == len(whole.ids):
            assert list(found.ids) == whole.ids and found.types == tuple(whole.type_ids)
        before = [n for n, of in enumerate(whole.sequence_ids) if of == 1][:1]
        assert not before or list(found.ids[: before[0]]) == whole.ids[: before[0]]


@pytest.fixture(scope="module")
def writer() -> PromptWriter:
    """Give a writer for a window of `WINDOW` bytes."""
    return PromptWriter(byte_tokenizer(), window=WINDOW)


@relaxed
@given(said=st.lists(texts, min_size=1, max_size=4))
def test_a_conversation_has_the_prompt_it_always_had_or_is_too_long(
    writer: PromptWriter, said: list[str]
) -> None:
    request = ChatRequest(turns=tuple(Turn(role=Role.USER, text=text) for text in said))
    whole = writer.render_chat(request)
    found = writer.render_chat(request, most=WINDOW)
    if found.over is None:
        assert found == whole and found.length == len(whole.tokens)
    else:
        assert not found.tokens and WINDOW < found.over <= len(whole.tokens)


def test_a_text_of_many_characters_and_hardly_a_token_is_refused_by_its_field(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(long_text, "LEAST", 5000)
    monkeypatch.setattr(long_text, "SPARSE", 10)
    words = Words(core_of("words"), WINDOW, pad_id=0)
    assert len(words.row("x" * 5000, field="input", truncate=False)) == 1
    for truncate in (False, True):
        with pytest.raises(InvalidRequest) as refused:
            words.row("x" * 5001, field="input[3]", truncate=truncate)
        assert refused.value.field == "input[3]" and "5000 characters" in refused.value.message


@given(st.lists(st.text(max_size=3000), max_size=20))
@relaxed
def test_batches_hold_all_texts_in_their_order(said: list[str]) -> None:
    assert [text for batch in long_text.batches(said) for text in batch] == said
