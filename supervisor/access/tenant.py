"""Say on whose behalf the daemon acts at this moment.

Who calls is known to every task that works for a request, so that what must not be forgotten (which models a key may
use, whose responses are whose) is asked at the few places that all routes go through, and not by each route.
"""

from collections.abc import Iterable
from contextvars import ContextVar
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from mlxd.config.spec import ModelSpec
from mlxd.protocol import control
from mlxd.protocol.keys import Right
from mlxd.supervisor.access.key_record import KeyRecord
from mlxd.supervisor.access.quota import Slot
from mlxd.supervisor.urgency import Priority

ANYONE = "anyone"
"""Name of whoever calls while there is no key."""
_ALL = frozenset(Right)


@dataclass(frozen=True, slots=True)
class Tenant:
    """Hold what one key may do; by default everything, as where no key exists."""

    id: str = ""
    """What it owns goes by this; empty for the machine's owner."""
    name: str = ANYONE
    models: tuple[str, ...] = ()
    rights: frozenset[Right] = _ALL
    ceiling: Priority | None = None
    """The most urgent its requests may be, and what they are unless they say otherwise."""
    isolates_cache: bool = False

    @classmethod
    def of(cls, key: KeyRecord) -> "Tenant":
        """Return who shows this key."""
        return cls(
            id=key.id,
            name=key.name,
            models=key.models,
            rights=_ALL if Right.ADMIN in key.rights else frozenset(key.rights),
            ceiling=Priority[key.priority.upper()],
            isolates_cache=key.isolate_cache,
        )

    def may_use(self, spec: ModelSpec) -> bool:
        """Tell whether the model is among those of the key, under any of its names."""
        return not self.models or any(
            _matches(allowed, name) for allowed in self.models for name in (spec.id, *spec.aliases)
        )

    def those_of(self, specs: Iterable[ModelSpec]) -> tuple[ModelSpec, ...]:
        """Return the models it may use."""
        return tuple(spec for spec in specs if self.may_use(spec))


@dataclass(slots=True, eq=False)
class Caller:
    """Follow one request: who sent it, what it is about, which place among the key's requests it holds."""

    tenant: Tenant = field(default_factory=Tenant)
    about: str | None = None
    """Model or key that the request is about, for the audit."""
    slot: Slot | None = None


_caller: ContextVar[Caller | None] = ContextVar("mlxd_caller", default=None)


def calling() -> Caller:
    """Return the request that is worked for; a new one of the machine's owner where there is none."""
    return _caller.get() or Caller()


def current() -> Tenant:
    """Return on whose behalf this task acts."""
    return calling().tenant


def begin(caller: Caller) -> None:
    """Let this task, and those it starts, act for a caller."""
    _caller.set(caller)


def headers() -> list[tuple[bytes, bytes]]:
    """Return what a worker must know of the caller: whom to report the tokens of, whose prompts not to mix."""
    who = current()
    told = [(control.ACCOUNT.encode(), who.id.encode())] if who.id else []
    if who.name != ANYONE:
        told.append((control.KEY.encode(), who.name.encode()))
    return [*told, (control.CACHE_SALT.encode(), who.id.encode())] if who.isolates_cache else told


def _matches(allowed: str, name: str) -> bool:
    """Tell whether either is a pattern of the other: an alias may be one, too."""
    allowed, name = allowed.lower(), name.lower()
    return fnmatchcase(name, allowed) or fnmatchcase(allowed, name)
