"""Hold what is kept of an API key: never the key, but the digest it is found by."""

import hashlib
import secrets

import msgspec

from mlxd.protocol.keys import KeyInfo, Level, Right

PREFIX = "mlxd-"
_BYTES = 32
"""Random, so that one round of a fast hash is as good as many of a slow one."""


class OldKey(msgspec.Struct, frozen=True):
    """Hold what is kept of a key that was replaced, and until when it is still worth something."""

    digest: str
    until: float


class KeyRecord(msgspec.Struct, frozen=True, kw_only=True):
    """Describe one key as its file does."""

    id: str
    """Stays the same when the key is rotated: what the key owns goes by it."""
    name: str
    digest: str
    """SHA-256 of the key in hexadecimal digits; of a key that signs, what it signs with."""
    created_at: float
    models: tuple[str, ...] = ()
    rights: tuple[Right, ...] = (Right.USE,)
    priority: Level = "normal"
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    max_in_flight: int | None = None
    expires_at: float | None = None
    isolate_cache: bool = False
    signed: bool = False
    old: tuple[OldKey, ...] = ()
    """Those it had before and that may still be shown, by the wish of who replaced them."""

    def replaced(self, digest: str, now: float, grace: float = 0.0) -> "KeyRecord":
        """Return it with another key; without a grace, no older one is worth anything."""
        old = [*self.live(now), OldKey(self.digest, now + grace)] if grace > 0 else []
        return msgspec.structs.replace(self, digest=digest, old=tuple(old))

    def live(self, now: float) -> list[OldKey]:
        """Return the older keys that are worth something still."""
        return [old for old in self.old if now < old.until]

    def is_expired(self, now: float) -> bool:
        """Tell whether the key's time is over."""
        return self.expires_at is not None and now >= self.expires_at

    def info(self, now: float) -> KeyInfo:
        """Return what may be shown of it."""
        reckoned = ("expired", "old_until")
        shown = {
            name: getattr(self, name) for name in KeyInfo.__struct_fields__ if name not in reckoned
        }
        old_until = max((old.until for old in self.live(now)), default=None)
        return KeyInfo(**shown, expired=self.is_expired(now), old_until=old_until)


def digest_of(key: str | bytes) -> bytes:
    """Return what a key is found by. It takes as long for a key that is nearly right as for any other."""
    return hashlib.sha256(key.encode() if isinstance(key, str) else key).digest()


def new_secret() -> str:
    """Return a key that nobody guesses."""
    return PREFIX + secrets.token_urlsafe(_BYTES)


def new_id() -> str:
    """Return an id for a new record."""
    return f"key_{secrets.token_hex(8)}"
