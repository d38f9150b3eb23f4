"""Read how urgent a client says its request is: before whom it goes, and how long it may wait."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import IntEnum

from mlxd.protocol.errors import InvalidRequest

PRIORITY = "x-priority"
TIMEOUT = "x-request-timeout"

_NUMBER = re.compile(r"[0-9]+(\.[0-9]*)?|\.[0-9]+")
_LONGEST_SHOWN = 40


class Priority(IntEnum):
    """Order requests that wait: the smaller goes first."""

    HIGH = 0
    NORMAL = 1
    LOW = 2


@dataclass(frozen=True, slots=True)
class Urgency:
    """Hold what one request asked for."""

    priority: Priority = Priority.NORMAL
    patience: float | None = None
    """Seconds it may wait for its worker; the answer itself may take longer."""

    def at_most(self, ceiling: Priority | None) -> "Urgency":
        """Return the same, no more urgent than the ceiling."""
        return self if ceiling is None else replace(self, priority=max(self.priority, ceiling))

    def after(self, waited: float) -> "Urgency":
        """Return what is left for a second wait."""
        if self.patience is None:
            return self
        return replace(self, patience=max(0.0, self.patience - waited))


ORDINARY = Urgency()


def of(headers: Mapping[str, str]) -> Urgency:
    """Return what the headers ask for; raises InvalidRequest naming the one that is wrong."""
    return Urgency(_priority(headers.get(PRIORITY)), _timeout(headers.get(TIMEOUT)))


def _priority(value: str | None) -> Priority:
    if value is None:
        return Priority.NORMAL
    for priority in Priority:
        if value == priority.name.lower():
            return priority
    raise _invalid(PRIORITY, "high, normal or low", value)


def _timeout(value: str | None) -> float | None:
    if value is None:
        return None
    seconds = float(value) if _NUMBER.fullmatch(value) else 0.0
    if not 0.0 < seconds < math.inf:
        raise _invalid(TIMEOUT, "a positive number of seconds", value)
    return seconds


def _invalid(name: str, wanted: str, value: str) -> InvalidRequest:
    shown = value if len(value) <= _LONGEST_SHOWN else value[:_LONGEST_SHOWN] + "..."
    return InvalidRequest(f"{name}: expected {wanted}, got {shown!r}", field=name)
