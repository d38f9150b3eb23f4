"""What a transcription is made of: a form's fields, a window's tokens, subtitles, the tokenizers that come along."""

import math
import re

import pytest
from mlx_audio.stt.models.whisper.tokenizer import LANGUAGES

from mlxd.protocol import openai_transcriptions as wire
from mlxd.protocol.errors import InvalidRequest, UnsupportedField
from mlxd.workers.transcription import bundled, languages, subtitles
from mlxd.workers.transcription.spoken import HOPELESS, Segment, number
from mlxd.workers.transcription.windows import cut, temperatures

STAMP = 50364


def at(seconds: float) -> int:
    """Return the timestamp's token."""
    return STAMP + round(seconds / 0.02)


def test_a_form_s_fields_become_a_request() -> None:
    body = wire.decode(
        [
            ("model", "w"), ("language", " de "), ("prompt", " Grüße,  "), ("temperature", "0.5"),
            ("response_format", "verbose_json"), ("timestamp_granularities[]", "word"),
            ("timestamp_granularities[]", "segment"), ("stream", "false"), ("keep_alive", "5m"), ("nobody", "knows"),
        ]
    )  # fmt: skip
    assert body == wire.TranscriptionRequest(
        model="w", language="de", prompt=" Grüße,  ", temperature=0.5, response_format="verbose_json",
        timestamp_granularities=["word", "segment"],
    )  # fmt: skip


def test_the_first_of_a_name_counts_and_nothing_given_asks_for_nothing() -> None:
    body = wire.decode([("model", "w"), ("model", "x"), ("language", ""), ("temperature", "")])
    assert body == wire.TranscriptionRequest(model="w")


@pytest.mark.parametrize(
    ("name", "value", "kind"),
    [
        ("temperature", "hot", InvalidRequest),
        ("temperature", "1.5", InvalidRequest),
        ("temperature", "nan", InvalidRequest),
        ("stream", "perhaps", InvalidRequest),
        ("response_format", "diarized_json", InvalidRequest),
        ("timestamp_granularities[]", "syllable", InvalidRequest),
        ("timestamp_granularities[]", "word", InvalidRequest),  # for json has none
        ("include[]", "logprobs", UnsupportedField),
        ("chunking_strategy", '{"type": "server_vad"}', UnsupportedField),
        ("known_speaker_names[]", "Ada", UnsupportedField),
    ],
)
def test_a_wrong_field_is_named(name: str, value: str, kind: type[Exception]) -> None:
    with pytest.raises(kind) as caught:
        wire.decode([("model", "w"), (name, value)])
    field = getattr(caught.value, "field", "")
    assert field.startswith(name.removesuffix("[]"))


@pytest.mark.parametrize("name", ["srt", "vtt", "verbose_json"])
def test_a_stream_of_anything_but_text_is_refused(name: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        wire.decode([("model", "w"), ("response_format", name), ("stream", "true")])
    assert caught.value.field == "response_format"


SAID = [
    Segment(start=0, end=1.5, text=" Hello\n\n --> there"),
    Segment(start=3599.999, end=3661.25, text=" a <b> & c"),
]


def test_subrip_has_numbered_cues() -> None:
    assert subtitles.srt(SAID) == (
        "1\n00:00:00,000 --> 00:00:01,500\nHello -> there\n\n"
        "2\n00:59:59,999 --> 01:01:01,250\na <b> & c\n\n"
    )


def test_webvtt_escapes_what_would_be_markup() -> None:
    assert subtitles.vtt(SAID) == (
        "WEBVTT\n\n00:00:00.000 --> 00:00:01.500\nHello --&gt; there\n\n"
        "00:59:59.999 --> 01:01:01.250\na &lt;b&gt; &amp; c\n\n"
    )


@pytest.mark.parametrize("seconds", [0, 0.0004, 0.9996, 59.9996, 3599.9999, 86400.5])
def test_a_clock_never_shows_a_thousandth_too_many(seconds: float) -> None:
    shown = subtitles.clock(seconds, ".")
    assert re.fullmatch(r"\d\d+:[0-5]\d:[0-5]\d\.\d{3}", shown)
    hours, minutes, rest = shown.split(":")
    assert abs(int(hours) * 3600 + int(minutes) * 60 + float(rest) - seconds) <= 0.0005 + 1e-9


def test_a_window_is_cut_where_two_timestamps_meet_and_the_rest_is_heard_again() -> None:
    tokens = [at(0), 1, 2, at(2), at(2), 3, at(5), at(5.5), 4]
    pieces, ended, heard = cut(tokens, STAMP, 3000)
    assert [(piece.start, piece.end) for piece in pieces] == [(0, 2), (2, 5)]
    assert [piece.tokens for piece in pieces] == [tokens[:4], tokens[4:7]]
    assert (ended, heard) == (False, 500)


def test_a_window_that_ends_with_one_timestamp_is_heard_whole() -> None:
    pieces, ended, heard = cut([at(0), 1, at(2), at(2), 3, at(5)], STAMP, 3000)
    assert [(piece.start, piece.end) for piece in pieces] == [(0, 2), (2, 5)]
    assert (ended, heard) == (True, 3000)


@pytest.mark.parametrize(
    ("tokens", "end"), [([1, 2], 12.0), ([at(0), 1, 2], 12.0), ([at(0), 1, at(3)], 3.0), ([], 12.0)]
)
def test_a_window_without_a_pair_is_one_segment(tokens: list[int], end: float) -> None:
    ((piece,), _, heard) = cut(tokens, STAMP, 1200)
    assert (piece.tokens, piece.start, piece.end, heard) == (tokens, 0.0, end, 1200)


@pytest.mark.parametrize(
    ("first", "tried"),
    [(0.0, [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]), (0.5, [0.5, 0.7, 0.9]), (0.9, [0.9]), (1.0, [1.0])],
)
def test_a_poor_guess_is_made_again_hotter(first: float, tried: list[float]) -> None:
    assert temperatures(first) == pytest.approx(tried)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_no_number_reaches_the_answer_that_json_cannot_hold(value: float) -> None:
    assert number(value, HOPELESS) == HOPELESS


@pytest.mark.parametrize(
    ("size", "end", "spoken", "first_stamp"),
    [(51864, 50256, 99, 50363), (51865, 50257, 99, 50364), (51866, 50257, 100, 50365)],
)
def test_the_tokenizers_that_come_along_have_whisper_s_ids(
    size: int, end: int, spoken: int, first_stamp: int
) -> None:
    words = bundled.BundledTokenizer(bundled.build(size, list(LANGUAGES)))
    assert words.eos_token_id == end
    assert words.convert_tokens_to_ids("<|startoftranscript|>") == end + 1
    assert words.convert_tokens_to_ids("<|en|>") == end + 2
    assert words.convert_tokens_to_ids("<|translate|>") == end + 2 + spoken
    assert words.convert_tokens_to_ids("<|0.00|>") == first_stamp
    assert words.convert_tokens_to_ids("<|30.00|>") == size - 1
    assert words.convert_tokens_to_ids("<|no such thing|>") == end


@pytest.mark.parametrize(
    ("size", "text", "ids"),
    [
        (51864, " Hello, world!", [18435, 11, 995, 0]),
        (51865, " Hello, world!", [2425, 11, 1002, 0]),
        (51865, " Grüße aus Zürich", [38908, 11451, 3437, 1176, 1655, 480]),
    ],
)  # fmt: skip
def test_the_tokenizers_that_come_along_read_as_whisper_s_do(
    size: int, text: str, ids: list[int]
) -> None:
    words = bundled.BundledTokenizer(bundled.build(size, list(LANGUAGES)))
    assert words.encode(text) == ids
    assert words.decode(ids) == text


def test_every_language_of_the_library_has_its_name() -> None:
    assert languages.NAMES == LANGUAGES
    assert languages.name_of("de") == "german"
    assert languages.name_of("tlh") == "tlh"
