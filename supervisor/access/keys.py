"""Keep the API keys: in a file only this user can read, looked at again whenever it has changed."""

import contextlib
import hmac
import logging
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from mlxd.protocol.errors import ConfigError, DiskFull, InvalidRequest, ObjectNotFound
from mlxd.protocol.keys import KeyRequest, NewKey
from mlxd.protocol.units import parse_duration
from mlxd.supervisor.access.key_record import KeyRecord, digest_of, new_id, new_secret

logger = logging.getLogger("mlxd.keys")

FILE = "keys.json"
_RESERVED = frozenset({"anyone", "mlxctl", "server.api_key", "signal"})
"""Names under which the audit knows those who have no key of the file."""

_LONGEST_S = 100 * 365 * 86400.0
"""What takes longer takes for ever; calendars end, too."""

Stamp = tuple[int, int, int]


class _Kept(msgspec.Struct, frozen=True):
    keys: tuple[KeyRecord, ...] = ()
    version: int = 1


class Ring:
    """Find keys: by the digest of what was shown, or by the name of who signs."""

    def __init__(self, records: Sequence[KeyRecord] = ()) -> None:
        self.records = tuple(records)
        self._shown = {bytes.fromhex(r.digest): r for r in records if not r.signed}
        self._outgoing = {
            bytes.fromhex(old.digest): (r, old) for r in records if not r.signed for old in r.old
        }
        self._signing = {name: r for r in records if r.signed for name in (r.id, r.name)}

    def by_digest(self, digest: bytes) -> KeyRecord | None:
        """Return the key with this digest; a table of digests tells nothing about the keys."""
        found = self._shown.get(digest)
        if found is None or not hmac.compare_digest(bytes.fromhex(found.digest), digest):
            return None
        return found

    def by_old_digest(self, digest: bytes, now: float) -> KeyRecord | None:
        """Return the key that has replaced the one with this digest, while that may still be shown."""
        record, old = self._outgoing.get(digest, (None, None))
        return record if old is not None and now < old.until else None

    def signer(self, client: str) -> KeyRecord | None:
        """Return the key that signs under this id or name."""
        return self._signing.get(client)


class Keys:
    """Own the file; without one, the keys live as long as the process."""

    def __init__(self, path: Path | None = None, *, clock: Callable[[], float] = time.time) -> None:
        """Read the file; raises ConfigError for one that cannot be read, rather than to let everybody in."""
        self._path = path
        self.clock = clock
        self._stamp = self._look()
        try:
            self._ring = self._read()
        except (OSError, ValueError, msgspec.MsgspecError) as error:
            raise ConfigError(f"{path}: the API keys cannot be read: {error}") from None

    def ring(self) -> Ring:
        """Return the keys as they are now; while the file is gone or broken, those of before stay."""
        stamp = self._look()
        if stamp != self._stamp:
            self._stamp = stamp
            try:
                if stamp is None and self._ring.records:
                    raise FileNotFoundError("the file is gone")
                self._ring = self._read()
                logger.info("keys read count=%d", len(self._ring.records))
            except (OSError, ValueError, msgspec.MsgspecError) as error:
                logger.error("keys stay as they were: %s cannot be read: %s", self._path, error)
        return self._ring

    def add(self, wanted: KeyRequest) -> NewKey:
        """Make a key and return it, for the only time; raises InvalidRequest."""
        if wanted.name in _RESERVED or any(r.name == wanted.name for r in self.ring().records):
            raise InvalidRequest(f"name: {wanted.name} is taken", field="name")
        if not wanted.rights:
            raise InvalidRequest("rights: expected at least one", field="rights")
        now, secret = self.clock(), new_secret()
        fields = {name: getattr(wanted, name) for name in KeyRequest.__struct_fields__}
        seconds = _seconds(fields.pop("expires_in"), "expires_in")
        record = KeyRecord(
            **fields,
            id=new_id(),
            digest=digest_of(secret).hex(),
            created_at=now,
            expires_at=None if seconds is None else now + seconds,
        )
        self._write([*self._ring.records, record])
        return NewKey(secret, record.info(now))

    def rotate(self, name: str, grace: str | float | None = None) -> NewKey:
        """Replace the key and keep all else; the old one is worth nothing any more once the grace is over."""
        secret, now, seconds = new_secret(), self.clock(), _seconds(grace, "grace")
        if grace is not None and seconds is None:
            raise InvalidRequest("grace: expected a time that ends", field="grace")
        fresh = self._named(name).replaced(digest_of(secret).hex(), now, seconds or 0.0)
        self._write([fresh if r.id == fresh.id else r for r in self._ring.records])
        return NewKey(secret, fresh.info(now))

    def revoke(self, name: str) -> KeyRecord:
        """Forget a key; raises ObjectNotFound."""
        gone = self._named(name)
        self._write([record for record in self._ring.records if record.id != gone.id])
        return gone

    def _named(self, name: str) -> KeyRecord:
        for record in self.ring().records:
            if name in (record.name, record.id):
                return record
        raise ObjectNotFound(f"no API key is named {name[:64]!r}")

    def _look(self) -> Stamp | None:
        try:
            found = os.stat(self._path) if self._path else None
        except OSError:
            return None
        return found and (found.st_ino, found.st_mtime_ns, found.st_size)

    def _read(self) -> Ring:
        if self._path is None or not self._path.exists():
            return Ring()
        kept = msgspec.json.decode(self._path.read_bytes(), type=_Kept)
        if kept.version != 1:
            raise ValueError(f"version {kept.version}, expected 1")
        return Ring(kept.keys)

    def _write(self, records: Sequence[KeyRecord]) -> None:
        """Replace the file in one step and make sure that it stays after a power cut. Raises DiskFull."""
        fresh_ring = Ring(records)
        if self._path is not None:
            fresh = self._path.with_name(f".{self._path.name}.{os.getpid()}")
            content = msgspec.json.format(msgspec.json.encode(_Kept(tuple(records))), indent=1)
            try:
                _write(fresh, content)
                fresh.replace(self._path)
            except OSError as error:
                with contextlib.suppress(OSError):
                    fresh.unlink()
                raise DiskFull(f"{self._path} cannot be written: {error.strerror}") from None
            self._stamp = self._look()
        self._ring = fresh_ring


def _write(path: Path, content: bytes) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    with os.fdopen(os.open(path, flags, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _seconds(given: str | float | None, field: str) -> float | None:
    if given is None:
        return None
    try:
        seconds = parse_duration(given)
    except ValueError as error:
        raise InvalidRequest(f"{field}: {error}", field=field) from None
    return None if seconds > _LONGEST_S else seconds
