"""Read the sounds of bodies that are parts of messages into the one form they have inside."""

from mlxd.protocol.errors import InvalidRequest
from mlxd.workers.chat.content import SoundPart


def from_url(url: str | None, field: str) -> SoundPart:
    """Return a sound that a body names by URI; raises CallerError naming the field at fault."""
    if not url:
        raise InvalidRequest(f"{field}: expected the URL of a sound", field=field)
    return SoundPart(url=url, field=field)


def from_base64(content: str | None, field: str) -> SoundPart:
    """Return a sound that a body holds; raises CallerError naming the field at fault."""
    if not content:
        raise InvalidRequest(f"{field}: expected a sound in base64", field=field)
    return SoundPart(base64=content, field=field)
