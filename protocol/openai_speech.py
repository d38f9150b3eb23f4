"""Describe OpenAI's Speech on the wire."""

from typing import Annotated, Literal, get_args

import msgspec

from mlxd.protocol import request_body
from mlxd.protocol.errors import InvalidRequest
from mlxd.protocol.request_body import Refused

LONGEST_INPUT = 4096
Format = Literal["mp3", "opus", "aac", "flac", "wav", "pcm"]


class NamedVoice(msgspec.Struct, frozen=True):
    """Hold a voice given as an object."""

    id: str


class SpeechRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Hold a body of `POST /v1/audio/speech`."""

    model: str
    input: Annotated[str, msgspec.Meta(max_length=LONGEST_INPUT)]
    voice: str | NamedVoice | None = None
    instructions: str | None = None
    response_format: str = "mp3"
    speed: Annotated[float, msgspec.Meta(ge=0.25, le=4)] | None = None
    stream_format: Literal["audio", "sse"] | None = None


class AudioDelta(msgspec.Struct, frozen=True, kw_only=True):
    """Hold the next bytes of the file, in base64."""

    type: str = "speech.audio.delta"
    audio: str


class SpeechUsage(msgspec.Struct, frozen=True, kw_only=True):
    """Count what was read and what was made: a token for each word or four bytes, and twenty for a second of sound."""

    input_tokens: int
    output_tokens: int
    total_tokens: int


class AudioDone(msgspec.Struct, frozen=True, kw_only=True):
    """End a stream."""

    type: str = "speech.audio.done"
    usage: SpeechUsage


class Voice(msgspec.Struct, frozen=True, kw_only=True):
    """Hold one voice of a model."""

    id: str
    name: str
    model: str
    object: str = "voice"


class Voices(msgspec.Struct, frozen=True, kw_only=True):
    """Hold the answer to `GET /v1/audio/voices`, the same list under the name that each kind of client looks for."""

    object: str = "list"
    data: list[Voice]
    voices: list[Voice]


_REFUSED = Refused(
    {
        "cfg_scale": (), "lang_code": (), "language": (), "ref_audio": (), "ref_text": (), "stream": (False,),
        "voice_settings": (),
    }
)  # fmt: skip
_decoder = msgspec.json.Decoder(SpeechRequest)


def decode(body: bytes) -> SpeechRequest:
    """Read a body; raises InvalidRequest or UnsupportedField naming the field at fault."""
    request = request_body.decode(body, _decoder, _REFUSED)
    if not request.input.strip():
        raise InvalidRequest("input: expected a text, got an empty one", field="input")
    known = get_args(Format)
    if request.response_format not in known:
        raise InvalidRequest(
            f"response_format: expected one of {', '.join(known)}, got {request.response_format[:32]!r}",
            field="response_format",
        )
    return request
