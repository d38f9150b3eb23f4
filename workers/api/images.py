"""Read the pictures of every dialect's bodies into the one form they have inside."""

from collections.abc import Mapping

from mlxd.protocol.errors import InvalidRequest, UnsupportedField
from mlxd.workers.chat.content import ImagePart

_DETAILS: Mapping[str, int | None] = {
    "auto": None, "high": None, "original": None, "low": 512 * 512,
}  # fmt: skip
"""Pixels that are wanted of a picture; None: as many as the model takes."""


def from_url(
    url: str | None, field: str, *, detail: str | None = None, max_pixels: int | None = None
) -> ImagePart:
    """Return a picture that a body names by URI; raises CallerError naming the field at fault."""
    if not url:
        raise InvalidRequest(f"{field}: expected the URL of an image", field=field)
    owner = field.removesuffix(".url")
    if detail is not None and detail not in _DETAILS:
        expected = ", ".join(_DETAILS)
        raise InvalidRequest(
            f"{owner}.detail: expected one of {expected}, got {detail[:32]!r}",
            field=f"{owner}.detail",
        )
    if max_pixels is not None and max_pixels < 1:
        raise InvalidRequest(
            f"{owner}.max_pixels: expected at least 1, got {max_pixels}",
            field=f"{owner}.max_pixels",
        )
    limits = [limit for limit in (_DETAILS[detail or "auto"], max_pixels) if limit is not None]
    return ImagePart(url=url, field=field, max_pixels=min(limits, default=None))


def from_base64(content: str, field: str) -> ImagePart:
    """Return a picture that a body holds."""
    return ImagePart(base64=content, field=field)


def from_source(source: Mapping[str, object], path: str) -> ImagePart:
    """Return a picture of Anthropic's Messages; raises CallerError naming the field at fault."""
    field = f"{path}.source"
    match source:
        case {"type": "base64", "data": str(data)}:
            kind = source.get("media_type")
            if isinstance(kind, str) and not kind.startswith("image/"):
                name = f"{field}.media_type"
                raise InvalidRequest(f"{name}: expected an image, got {kind[:64]!r}", field=name)
            return from_base64(data, f"{field}.data")
        case {"type": "url", "url": str(url)}:
            return from_url(url, f"{field}.url")
        case {"type": "file"}:
            raise UnsupportedField(field, "mlxd stores no files; send the image itself")
    raise InvalidRequest(
        f"{field}: expected a source of type base64 with data, or url with url", field=field
    )
