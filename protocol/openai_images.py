"""Describe OpenAI's Images on the wire: pictures from a prompt, or from a prompt and other pictures."""

from collections.abc import Iterable
from typing import Annotated, Final, Literal, get_args

import msgspec

from mlxd.protocol import request_body
from mlxd.protocol.errors import InvalidRequest, UnsupportedField
from mlxd.protocol.request_body import Refused, named

LONGEST_PROMPT: Final = 32_000
MOST_PICTURES: Final = 10
MOST_STEPS: Final = 250
MOST_PREVIEWS: Final = 3
LARGEST_SEED: Final = (1 << 53) - 1 - MOST_PICTURES
"""What every language's numbers hold, the seeds of the other pictures included."""
Format = Literal["png", "jpeg", "webp"]
UPLOADS: Final = frozenset({"image", "mask", "markup"})
"""Names of a form's files."""


class ImagesRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Hold a body of `POST /v1/images/generations`."""

    model: str
    prompt: Annotated[str, msgspec.Meta(max_length=LONGEST_PROMPT)]
    n: Annotated[int, msgspec.Meta(ge=1, le=MOST_PICTURES)] | None = None
    size: str | None = None
    seed: Annotated[int, msgspec.Meta(ge=0, le=LARGEST_SEED)] | None = None
    steps: Annotated[int, msgspec.Meta(ge=1, le=MOST_STEPS)] | None = None
    guidance: Annotated[float, msgspec.Meta(ge=0)] | None = None
    negative_prompt: Annotated[str, msgspec.Meta(max_length=LONGEST_PROMPT)] | None = None
    response_format: str | None = None
    output_format: str | None = None
    output_compression: Annotated[int, msgspec.Meta(ge=0, le=100)] | None = None
    stream: bool | None = None
    partial_images: Annotated[int, msgspec.Meta(ge=0, le=MOST_PREVIEWS)] | None = None


class EditRequest(ImagesRequest, frozen=True, kw_only=True):
    """Hold the fields of a form of `POST /v1/images/edits`, all but the pictures."""

    strength: Annotated[float, msgspec.Meta(gt=0, le=1)] | None = None


class InputDetails(msgspec.Struct, frozen=True, kw_only=True):
    """Say what was read."""

    text_tokens: int
    image_tokens: int = 0


class ImagesUsage(msgspec.Struct, frozen=True, kw_only=True):
    """Count the prompt's tokens, and the patches of the pictures."""

    input_tokens: int
    input_tokens_details: InputDetails
    output_tokens: int
    total_tokens: int

    @classmethod
    def of(cls, prompt: int, patches: int) -> "ImagesUsage":
        """Return the usage of a prompt and what was drawn of it."""
        details = InputDetails(text_tokens=prompt)
        return cls(
            input_tokens=prompt,
            input_tokens_details=details,
            output_tokens=patches,
            total_tokens=prompt + patches,
        )


class Image(msgspec.Struct, frozen=True, kw_only=True):
    """Hold a picture's file in base64, and the seed that makes it again."""

    b64_json: str
    seed: int


class ImagesResponse(msgspec.Struct, frozen=True, kw_only=True):
    """Hold all pictures."""

    created: int
    background: str = "opaque"
    data: list[Image]
    output_format: str
    size: str
    usage: ImagesUsage


class PartialImage(msgspec.Struct, frozen=True, kw_only=True):
    """Hold an unfinished picture, an event of a stream."""

    type: str
    b64_json: str
    background: str = "opaque"
    created_at: int
    output_format: str
    partial_image_index: int
    quality: str = "auto"
    size: str


class CompletedImage(msgspec.Struct, frozen=True, kw_only=True):
    """Hold a finished picture, an event of a stream."""

    type: str
    b64_json: str
    background: str = "opaque"
    created_at: int
    output_format: str
    quality: str = "auto"
    size: str
    seed: int
    usage: ImagesUsage


_NOT_DONE: Final[dict[str, tuple[object, ...]]] = {
    "background": ("auto", "opaque"), "cfg_scale": (), "complexity": (), "frame_count": (), "frame_duration_ms": (),
    "guidance_scale": (), "image": (), "image_url": (), "images": (), "input_fidelity": (), "loras": ([],), "mask": (),
    "num_inference_steps": (), "prompt_rewriter": (), "quality": ("auto", "standard"), "sampler": (), "scheduler": (),
    "style": (), "svg": (),
}  # fmt: skip
"""Fields that are known and not implemented, with the values besides null that ask for nothing."""
_HINTS: Final = {
    "guidance_scale": "is called guidance here",
    "cfg_scale": "is called guidance here",
    "num_inference_steps": "is called steps here",
    "image": "pictures are edited at /v1/images/edits",
    "images": "pictures are edited at /v1/images/edits, which takes a form",
    "mask": "no family of models here takes one",
    "quality": "use steps and size",
}
_refused = Refused(_NOT_DONE)
_decoder = msgspec.json.Decoder(ImagesRequest)


def decode(body: bytes) -> ImagesRequest:
    """Read a body; raises InvalidRequest or UnsupportedField naming the field at fault."""
    try:
        request = request_body.decode(body, _decoder, _refused)
    except UnsupportedField as error:
        raise _hinted(error.field) from None
    _check(request)
    return request


def decode_form(fields: Iterable[tuple[str, str]], uploads: Iterable[str]) -> EditRequest:
    """Read a form's fields, given the names of its files; raises as `decode` does.

    Of a name that comes twice the first counts, as it does for routing; an empty value asks for nothing.
    """
    found: dict[str, str] = {}
    for name, value in fields:
        if value.strip():
            found.setdefault(name, value if "prompt" in name else value.strip())
    for name in uploads:
        if name.removesuffix("[]") != "image":
            raise _hinted(name)
    for name, harmless in _NOT_DONE.items():
        if name in found and found[name] not in harmless and name not in ("image", "images"):
            raise _hinted(name)
    try:
        request = msgspec.convert(found, EditRequest, strict=False)
    except msgspec.ValidationError as error:
        raise named(error) from None
    _check(request)
    return request


def _check(request: ImagesRequest) -> None:
    if not request.prompt.strip():
        raise InvalidRequest("prompt: expected a text, got an empty one", field="prompt")
    _one_of("response_format", request.response_format, ("b64_json", "url"))
    if request.response_format == "url":
        raise UnsupportedField("response_format", "nothing is kept to be fetched; use b64_json")
    _one_of("output_format", request.output_format, get_args(Format))
    if request.output_compression not in (None, 100) and request.output_format in (None, "png"):
        raise InvalidRequest(
            "output_compression: only output_format jpeg and webp have one",
            field="output_compression",
        )
    if request.partial_images and not request.stream:
        raise InvalidRequest("partial_images: only a stream has them", field="partial_images")


def _one_of(field: str, value: str | None, known: tuple[str, ...]) -> None:
    if value is not None and value not in known:
        raise InvalidRequest(
            f"{field}: expected one of {', '.join(known)}, got {value[:32]!r}", field=field
        )


def _hinted(field: str | None) -> UnsupportedField:
    name = field or ""
    return UnsupportedField(name, _HINTS.get(name, "is not supported"))
