"""Hold all that decides who may do what: keys, their quotas, signatures, the audit."""

import hmac
import ipaddress
import secrets
import time
from collections.abc import Callable
from pathlib import Path

from starlette.datastructures import Headers
from starlette.types import Receive, Scope

from mlxd.config.settings import Server
from mlxd.protocol import control
from mlxd.protocol.errors import ConfigError, InvalidApiKey
from mlxd.supervisor.access import keys
from mlxd.supervisor.access.audit import FILE as AUDIT_FILE
from mlxd.supervisor.access.audit import Audit
from mlxd.supervisor.access.key_record import KeyRecord, digest_of
from mlxd.supervisor.access.keys import Keys
from mlxd.supervisor.access.quota import Quotas, Shares, Slot
from mlxd.supervisor.access.signature import Claim, Signatures, holding_to
from mlxd.supervisor.access.tenant import Tenant

_NOBODY = Tenant()


class Access:
    """Find out who calls, and whether it may go on."""

    def __init__(
        self,
        server: Server,
        *,
        state_dir: Path | None = None,
        log_dir: Path | None = None,
        own_key: str | None = None,
        address: str | None = None,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Read the keys of `state_dir`; `own_key` is what this user's `mlxctl` shows. Raises ConfigError.

        `address` is the one that the daemon listens on, where that is not what the settings say.
        """
        self.keys = Keys(state_dir and state_dir / keys.FILE, clock=clock)
        self.quotas = Quotas(monotonic)
        self.audit = Audit(log_dir and log_dir / AUDIT_FILE, clock=clock)
        self.is_beyond_loopback = not is_loopback(address or server.host)
        self._signatures = Signatures(server.signature_tolerance, clock, monotonic)
        owners = {"server.api_key": server.api_key, "mlxctl": own_key}
        self._owners = {Tenant(name=name): digest_of(key) for name, key in owners.items() if key}
        self._has_own = bool(server.api_key)

    @property
    def is_locked(self) -> bool:
        """Tell whether a key is needed: once one exists, even one that has expired, and beyond loopback always."""
        return self._has_own or self.is_beyond_loopback or bool(self.keys.ring().records)

    def identify(self, scope: Scope, receive: Receive) -> tuple[Tenant, Shares, Receive]:
        """Return who calls and how to read the body; raises InvalidApiKey, and never repeats what was sent."""
        headers = Headers(scope=scope)
        claim = Claim.of(headers)
        ring = self.keys.ring()
        if claim is not None:
            key = self._signatures.check(claim, ring, scope)
            return *self._admitted(key), holding_to(claim, receive)
        shown = _shown_key(headers)
        if shown is None:
            raise InvalidApiKey(
                "an API key is required: Authorization: Bearer KEY, or x-api-key: KEY"
            )
        digest = digest_of(shown.encode("latin-1"))
        # All are looked at, and by their digests: how long it takes says nothing about any of them.
        owners = [who for who, own in self._owners.items() if hmac.compare_digest(own, digest)]
        found = ring.by_digest(digest) or ring.by_old_digest(digest, self.keys.clock())
        if owners:
            return owners[0], Shares(), receive
        if found is None:
            raise InvalidApiKey("the API key is not known")
        return *self._admitted(found), receive

    def names(self) -> list[str]:
        """Return the names of all keys, those of the machine's owner included."""
        records = self.keys.ring().records
        return [*(owner.name for owner in self._owners), *(record.name for record in records)]

    def open_tenant(self) -> Tenant:
        """Return who calls where no key exists."""
        return _NOBODY

    def admit(self, tenant: Tenant, shares: Shares) -> Slot | None:
        """Count a request of a key; raises RateLimited."""
        return self.quotas.of(tenant.id, shares).admit() if tenant.id else None

    def charge(self, model_id: str, used: control.Used) -> None:
        """Take from a key's share what a worker says that it used."""
        self.quotas.spend(used.account, used.input_tokens + used.output_tokens)

    def _admitted(self, key: KeyRecord) -> tuple[Tenant, Shares]:
        if key.is_expired(self.keys.clock()):
            raise InvalidApiKey("the API key has expired")
        shares = Shares(key.requests_per_minute, key.tokens_per_minute, key.max_in_flight)
        return Tenant.of(key), shares


def new_own_key() -> str:
    """Return a key for this user's `mlxctl`, for as long as the daemon runs."""
    return secrets.token_urlsafe(32)


def is_loopback(host: str) -> bool:
    """Tell whether only this machine reaches the host; a name counts as such only if it is `localhost`."""
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return host == "localhost"


def require_key_beyond_loopback(server: Server, address: str, state_dir: Path) -> None:
    """Raise ConfigError where `address` can be reached from other machines and no key exists."""
    if server.api_key or is_loopback(address):
        return
    if Keys(state_dir / keys.FILE).ring().records:
        return
    raise ConfigError(
        f"server.host: {server.host} can be reached from other machines; make a key with `mlxctl keys add NAME`, "
        "set server.api_key (or MLXD_SERVER_API_KEY), or listen on 127.0.0.1"
    )


def _shown_key(headers: Headers) -> str | None:
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return token.strip()
    return headers.get("x-api-key")
