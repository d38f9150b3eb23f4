"""Read the sounds of bodies that are parts of messages into the one form they have inside."""

from typing import Protocol

from mlxd.protocol.errors import InvalidRequest
from mlxd.workers.chat.content import SoundPart


class Encoded(Protocol):
    """Hold a file in base64."""

    @property
    def data(self) -> str:
        """Return it."""
        ...


def from_url(url: str | None, field: str) -> SoundPart:
    """Return a sound that a body names by URI; raises CallerError naming the field at fault."""
    if not url:
        raise InvalidRequest(f"{field}: expected the URL of a sound", field=field)
    return SoundPart(url=url, field=field)


def from_part(given: Encoded | None, field: str) -> SoundPart:
    """Return a sound that a body holds; raises CallerError naming the field at fault."""
    if given is None or not given.data:
        name = field if given is None else f"{field}.data"
        raise InvalidRequest(f"{name}: expected a sound in base64", field=name)
    return SoundPart(base64=given.data, field=f"{field}.data")
