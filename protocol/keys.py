"""Hold what the routes of API keys take and return; the same structs serve REST and `mlxctl keys`."""

from enum import StrEnum
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z"
"""What a key's name looks like: one word that no log line or header could mistake for two."""

Name = Annotated[str, Meta(pattern=PATTERN)]
Limit = Annotated[int, Meta(ge=1)]
Level = Literal["high", "normal", "low"]


class Right(StrEnum):
    """Name what a key may do beside answering `/health`."""

    USE = "use"
    """Ask models, and look at those it may ask."""
    WATCH = "watch"
    """Read what tells of everybody's requests: metrics, events, statistics."""
    ADMIN = "admin"
    """Load, unload, pull, remove, and hand out keys; includes the others."""


class KeyRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Ask for a key; what is left out does not limit."""

    name: Name
    models: tuple[str, ...] = ()
    """Ids, aliases or patterns; none = all models."""
    rights: tuple[Right, ...] = (Right.USE,)
    priority: Level = "normal"
    """What its requests count as, and the most they may ask for."""
    requests_per_minute: Limit | None = None
    tokens_per_minute: Limit | None = None
    max_in_flight: Limit | None = None
    expires_in: str | float | None = None
    """A duration such as "90d"."""
    isolate_cache: bool = False
    """Share no remembered prompt with any other key."""
    signed: bool = False
    """It signs requests and is never sent itself."""


class RotateRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Ask for a key to be replaced."""

    grace: str | float | None = None
    """How long the old one is still worth something, a duration such as "10m"; none = not a moment."""


class KeyInfo(msgspec.Struct, frozen=True, kw_only=True):
    """Describe a key; nothing here opens anything. Times are Unix seconds."""

    id: str
    name: str
    models: tuple[str, ...]
    rights: tuple[Right, ...]
    priority: Level
    requests_per_minute: int | None
    tokens_per_minute: int | None
    max_in_flight: int | None
    isolate_cache: bool
    signed: bool
    created_at: float
    expires_at: float | None
    expired: bool
    old_until: float | None = None
    """When the last of the keys ends that this one has replaced and that still open what it opens."""


class KeyList(msgspec.Struct, frozen=True):
    """Answer `GET /v1/keys`."""

    keys: list[KeyInfo]


class NewKey(msgspec.Struct, frozen=True):
    """Show a key for the only time."""

    key: str
    info: KeyInfo


class Revoked(msgspec.Struct, frozen=True):
    """Say which key is gone, and how many are left."""

    name: str
    left: int
