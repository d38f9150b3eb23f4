"""Check requests that are signed instead of carrying their key.

The string that is signed, seven lines without a last line end:

    mlxd-hmac-sha256
    METHOD
    path with its query, as it is sent
    client: id or name of the key
    timestamp: whole Unix seconds
    nonce: 16 to 128 letters, digits, - or _ that this key has not used before
    SHA-256 of the body in hexadecimal digits

It is signed by HMAC-SHA256 with the SHA-256 of the key, which is all that the daemon keeps of it.
"""

import hashlib
import hmac
import math
import re
from collections.abc import Callable
from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.types import Message, Receive, Scope

from mlxd.protocol.errors import InvalidApiKey, RateLimited
from mlxd.supervisor.access.key_record import KeyRecord
from mlxd.supervisor.access.keys import Ring

SCHEME = "mlxd-hmac-sha256"
CLIENT, TIMESTAMP, NONCE = "x-mlxd-client", "x-mlxd-timestamp", "x-mlxd-nonce"
DIGEST, SIGNATURE = "x-mlxd-content-sha256", "x-mlxd-signature"

_TIME = re.compile(r"[0-9]{1,12}")
_NONCE = re.compile(r"[A-Za-z0-9_-]{16,128}")
_HEX = re.compile(r"[0-9a-f]{64}")
_MOST_NONCES = 100_000
"""Of one key within the tolerance; a key that uses more has to wait rather than to be replayed."""
_SAME_INSTANT_S = 0.01
"""More than two clocks lose against each other where nobody sets one."""
_NO_KEY = b"\0" * 32
"""What an unknown client is checked against, so that it takes as long as a known one."""


@dataclass(frozen=True, slots=True)
class Claim:
    """Hold what a request says of itself."""

    client: str
    timestamp: str
    nonce: str
    digest: str
    signature: str

    @classmethod
    def of(cls, headers: Headers) -> "Claim | None":
        """Return the claim of a signed request, None for one without a signature; raises InvalidApiKey."""
        signature = headers.get(SIGNATURE)
        if signature is None:
            return None
        client, timestamp, nonce, digest = (
            headers.get(name, "") for name in (CLIENT, TIMESTAMP, NONCE, DIGEST)
        )
        claim = cls(client, timestamp, nonce, digest, signature)
        shapes = {TIMESTAMP: _TIME, NONCE: _NONCE, DIGEST: _HEX, SIGNATURE: _HEX}
        values = (claim.timestamp, claim.nonce, claim.digest, claim.signature)
        for (name, shape), value in zip(shapes.items(), values, strict=True):
            if not shape.fullmatch(value):
                raise InvalidApiKey(
                    f"{name}: missing, or not of the form that signed requests need"
                )
        return claim

    def text(self, method: str, target: str) -> str:
        """Return the string that is signed."""
        lines = (SCHEME, method, target, self.client, self.timestamp, self.nonce, self.digest)
        return "\n".join(lines)


class Signatures:
    """Check claims, and accept none twice."""

    def __init__(
        self, tolerance: float, clock: Callable[[], float], monotonic: Callable[[], float]
    ) -> None:
        self._tolerance = tolerance
        self._clock = clock
        self._monotonic = monotonic
        self._began = monotonic()
        self._seen: dict[str, dict[str, float]] = {}

    def check(self, claim: Claim, ring: Ring, scope: Scope) -> KeyRecord:
        """Return the key that signed; raises InvalidApiKey."""
        key = ring.signer(claim.client)
        digests = [key.digest, *(old.digest for old in key.live(self._clock()))] if key else []
        text = claim.text(scope["method"], _target(scope)).encode()
        signed = [
            hmac.digest(secret, text, "sha256").hex()
            for secret in [bytes.fromhex(digest) for digest in digests] or [_NO_KEY]
        ]
        # All are looked at, whichever is right.
        right = [one for one in signed if hmac.compare_digest(one, claim.signature)]
        if key is None or not right:
            raise InvalidApiKey("the signature does not belong to this client and request")
        self._check_time(int(claim.timestamp))
        self._check_nonce(key.id, claim)
        return key

    def _check_time(self, signed_at: int) -> None:
        now = self._clock()
        if abs(now - signed_at) > self._tolerance:
            raise InvalidApiKey(
                f"{TIMESTAMP}: {signed_at} is more than {self._tolerance:g} s from the daemon's {int(now)}"
            )
        # Nobody remembers which nonces the daemon before this one has seen.
        began = now - (self._monotonic() - self._began)  # by the clock as it is set by now
        if signed_at < math.floor(began - _SAME_INSTANT_S):
            raise InvalidApiKey(
                f"{TIMESTAMP}: the request was signed before the daemon started; sign it again"
            )

    def _check_nonce(self, key_id: str, claim: Claim) -> None:
        seen = self._seen.setdefault(key_id, {})
        now = self._clock()
        while seen and (oldest := next(iter(seen))) and seen[oldest] < now:
            del seen[oldest]
        if claim.nonce in seen:
            raise InvalidApiKey(f"{NONCE}: this request was received before")
        if len(seen) >= _MOST_NONCES:
            raise RateLimited(
                f"this API key has signed {_MOST_NONCES} requests lately",
                retry_after=max(1.0, seen[next(iter(seen))] - now),
            )
        # As long as any timestamp that is still accepted could come again with it.
        seen[claim.nonce] = now + 2 * self._tolerance


def holding_to(claim: Claim, receive: Receive) -> Receive:
    """Return a `receive` whose last piece of body is handed out only if the body is the one that was signed."""
    digest = hashlib.sha256()

    async def checked() -> Message:
        message = await receive()
        if message["type"] == "http.request":
            digest.update(message.get("body", b""))
            is_last = not message.get("more_body", False)
            if is_last and not hmac.compare_digest(digest.hexdigest(), claim.digest):
                raise InvalidApiKey(f"{DIGEST}: the body is not the one that was signed")
        return message

    return checked


def _target(scope: Scope) -> str:
    """Return path and query as they came over the wire."""
    path: bytes = scope.get("raw_path") or scope["path"].encode()
    query: bytes = scope["query_string"]
    return (path + b"?" + query if query else path).decode("latin-1")
