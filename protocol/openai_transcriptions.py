"""Describe OpenAI's Transcriptions and Translations on the wire: a form with a file, and ways to write what it says."""

from collections.abc import Iterable
from typing import Annotated, Literal, get_args

import msgspec

from mlxd.protocol.errors import InvalidRequest, UnsupportedField
from mlxd.protocol.request_body import named

Format = Literal["json", "text", "srt", "verbose_json", "vtt"]
Granularity = Literal["word", "segment"]
_LISTS = {"timestamp_granularities"}
_REFUSED = {
    "chunking_strategy": "auto", "diarize": "false", "include": "", "known_speaker_names": "",
    "known_speaker_references": "", "logprobs": "false",
}  # fmt: skip
"""Fields that are known and not implemented, with the value besides nothing that asks for nothing."""


class TranscriptionRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Hold the fields of a form of `POST /v1/audio/transcriptions` or `/v1/audio/translations`, all but the file."""

    model: str
    language: str | None = None
    prompt: str | None = None
    response_format: str = "json"
    temperature: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None
    stream: bool = False
    timestamp_granularities: list[Granularity] | None = None


class DurationUsage(msgspec.Struct, frozen=True, kw_only=True):
    """Count what was heard, in begun seconds."""

    type: str = "duration"
    seconds: int


class Transcription(msgspec.Struct, frozen=True, kw_only=True):
    """Hold the plain response."""

    text: str
    usage: DurationUsage


class TimedWord(msgspec.Struct, frozen=True, kw_only=True):
    """Hold a word and its time, in seconds."""

    word: str
    start: float
    end: float


class TimedSegment(msgspec.Struct, frozen=True, kw_only=True):
    """Hold a phrase, its time in seconds, and how sure the model was."""

    id: int
    seek: int
    start: float
    end: float
    text: str
    tokens: list[int]
    temperature: float
    avg_logprob: float
    compression_ratio: float
    no_speech_prob: float


class VerboseTranscription(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Hold the response with times."""

    task: str
    language: str
    duration: float
    text: str
    segments: list[TimedSegment] | msgspec.UnsetType = msgspec.UNSET
    words: list[TimedWord] | msgspec.UnsetType = msgspec.UNSET
    usage: DurationUsage


class TextDelta(msgspec.Struct, frozen=True, kw_only=True):
    """Hold what a stream's event adds to the text."""

    type: str = "transcript.text.delta"
    delta: str


class TextDone(msgspec.Struct, frozen=True, kw_only=True):
    """Hold the whole text, the last event of a stream."""

    type: str = "transcript.text.done"
    text: str
    usage: DurationUsage


def decode(fields: Iterable[tuple[str, str]]) -> TranscriptionRequest:
    """Read a form's fields; raises InvalidRequest or UnsupportedField naming the one at fault.

    Of a name that comes twice the first counts, as it does for routing; an empty value asks for nothing.
    """
    found: dict[str, str | list[str]] = {}
    for key, value in fields:
        name = key.removesuffix("[]")
        if not value.strip():
            continue
        if name in _LISTS:
            items = found.setdefault(name, [])
            assert isinstance(items, list)
            items.append(value.strip())
        else:
            found.setdefault(name, value if name == "prompt" else value.strip())
    for name, harmless in _REFUSED.items():
        if name in found and found[name] != harmless:
            raise UnsupportedField(name)
    try:
        request = msgspec.convert(found, TranscriptionRequest, strict=False)
    except msgspec.ValidationError as error:
        raise named(error) from None
    _check(request)
    return request


def _check(request: TranscriptionRequest) -> None:
    known = get_args(Format)
    if request.response_format not in known:
        raise InvalidRequest(
            f"response_format: expected one of {', '.join(known)}, got {request.response_format[:32]!r}",
            field="response_format",
        )
    if request.stream and request.response_format not in ("json", "text"):
        raise InvalidRequest(
            f"response_format: a stream has events of text, which {request.response_format} is not",
            field="response_format",
        )
    if request.timestamp_granularities and request.response_format != "verbose_json":
        raise InvalidRequest(
            "timestamp_granularities: only response_format verbose_json has them",
            field="timestamp_granularities",
        )
