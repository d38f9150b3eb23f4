"""Count what a key uses up: requests and tokens per minute, requests at the same time.

Both rates are buckets that hold a minute's worth and fill at an even pace. Tokens are known only when an answer has
ended, so that bucket may go below zero; the next request then waits until the debt is paid.
"""

from collections.abc import Callable
from dataclasses import dataclass

from mlxd.protocol.errors import RateLimited

_MINUTE_S = 60.0
_BUSY_RETRY_S = 1.0


@dataclass(frozen=True, slots=True)
class Shares:
    """Say how much a key may use; None = without limit."""

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    max_in_flight: int | None = None


@dataclass(slots=True)
class Bucket:
    """Hold what is left of a minute's worth."""

    level: float
    at: float

    def fill(self, limit: int, now: float) -> None:
        """Add what has come since the last time; `limit` may have changed meanwhile."""
        grown = self.level + (now - self.at) * limit / _MINUTE_S
        self.level, self.at = min(float(limit), grown), now

    def wait(self, wanted: float, limit: int) -> float:
        """Return the seconds until so much is there."""
        return max(0.0, (wanted - self.level) * _MINUTE_S / limit)


class Slot:
    """Hold one place among the requests that a key may have running."""

    def __init__(self, on_release: Callable[[], None]) -> None:
        self._on_release = on_release
        self._holders = 1

    def share(self) -> None:
        """Keep the place for one more, who outlives the request."""
        self._holders += 1

    def release(self) -> None:
        """Let go of the place; it is free when nobody holds it."""
        self._holders -= 1
        if self._holders == 0:
            self._on_release()


class Quota:
    """Count for one key."""

    def __init__(self, shares: Shares, clock: Callable[[], float]) -> None:
        self.shares = shares
        self._clock = clock
        self._requests = Bucket(float(shares.requests_per_minute or 0), clock())
        self._tokens = Bucket(float(shares.tokens_per_minute or 0), clock())
        self._running = 0

    def admit(self) -> Slot:
        """Count a request in; raises RateLimited with the seconds after which it may work."""
        now, shares = self._clock(), self.shares
        if shares.max_in_flight is not None and self._running >= shares.max_in_flight:
            raise _used_up(f"{self._running} of its requests run already", _BUSY_RETRY_S)
        if (limit := shares.tokens_per_minute) is not None:
            self._tokens.fill(limit, now)
            if wait := self._tokens.wait(1.0, limit):
                raise _used_up(f"its {limit} tokens per minute are used up", wait)
        if (limit := shares.requests_per_minute) is not None:
            self._requests.fill(limit, now)
            if wait := self._requests.wait(1.0, limit):
                raise _used_up(f"its {limit} requests per minute are used up", wait)
            self._requests.level -= 1
        self._running += 1
        return Slot(self._release)

    def limit(self, shares: Shares) -> None:
        """Take other limits and begin with full buckets; what runs goes on to count."""
        self.shares = shares
        self._requests = Bucket(float(shares.requests_per_minute or 0), self._clock())
        self._tokens = Bucket(float(shares.tokens_per_minute or 0), self._clock())

    def spend(self, tokens: int) -> None:
        """Take the tokens of an answer."""
        if (limit := self.shares.tokens_per_minute) is not None:
            self._tokens.fill(limit, self._clock())
            self._tokens.level -= tokens

    def _release(self) -> None:
        self._running -= 1


class Quotas:
    """Hold the counts of all keys, as long as the daemon runs."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._quotas: dict[str, Quota] = {}

    def of(self, tenant_id: str, shares: Shares) -> Quota:
        """Return the counts of a key, with the limits as they are now."""
        quota = self._quotas.get(tenant_id)
        if quota is None:
            quota = self._quotas[tenant_id] = Quota(shares, self._clock)
        elif quota.shares != shares:
            quota.limit(shares)
        return quota

    def spend(self, tenant_id: str, tokens: int) -> None:
        """Take the tokens of an answer to this key, if it is counted at all."""
        if quota := self._quotas.get(tenant_id):
            quota.spend(tokens)


def _used_up(what: str, wait: float) -> RateLimited:
    return RateLimited(f"this API key has used up its share: {what}", retry_after=wait)
