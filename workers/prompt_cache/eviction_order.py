"""Decide which entry goes first when bytes must be freed."""

from collections import OrderedDict
from enum import StrEnum
from typing import Generic, Protocol, TypeVar


class Kind(StrEnum):
    """Name the place in a conversation at which a state was kept."""

    SYSTEM = "system"
    """The end of the system prompt: other conversations start there too."""
    MESSAGE = "message"
    """The end of a message in the prompt."""
    PREFILL = "prefill"
    """Where a prefill ended or was abandoned."""
    ROW = "row"
    """Where a generation ended."""


class Weighed(Protocol):
    """Have a kind and a size."""

    kind: Kind
    nbytes: int


E = TypeVar("E", bound=Weighed)


class EvictionOrder(Generic[E]):
    """Order entries by their last use and add up their bytes.

    System prompts outlive everything else, until they fill more than half of the limit.
    """

    def __init__(self) -> None:
        self._system: OrderedDict[E, None] = OrderedDict()
        self._other: OrderedDict[E, None] = OrderedDict()
        self._system_bytes = 0
        self._other_bytes = 0

    @property
    def nbytes(self) -> int:
        """Return the size of all entries."""
        return self._system_bytes + self._other_bytes

    def __len__(self) -> int:
        return len(self._system) + len(self._other)

    def victims(self) -> list[E]:
        """Return the entries, the first to go first, as long as system prompts are spared."""
        return [*self._other, *self._system]

    def add(self, entry: E) -> None:
        """Take an entry in as the last used."""
        self._line(entry)[entry] = None
        self._weigh(entry, entry.nbytes)

    def remove(self, entry: E) -> None:
        """Forget an entry."""
        del self._line(entry)[entry]
        self._weigh(entry, -entry.nbytes)

    def touch(self, entry: E) -> None:
        """Make the entry the last used."""
        self._line(entry).move_to_end(entry)

    def demote(self, entry: E) -> None:
        """Make the entry the next to go among its like."""
        self._line(entry).move_to_end(entry, last=False)

    def resize(self, entry: E, nbytes: int) -> None:
        """Change an entry's size."""
        self._weigh(entry, nbytes - entry.nbytes)
        entry.nbytes = nbytes

    def relabel(self, entry: E, kind: Kind) -> None:
        """Change an entry's kind."""
        self.remove(entry)
        entry.kind = kind
        self.add(entry)

    def victim(self, limit: int, spare: E | None = None) -> E | None:
        """Return the entry to evict next under this limit, never the one to spare."""
        other = next((entry for entry in self._other if entry is not spare), None)
        system = next((entry for entry in self._system if entry is not spare), None)
        if other is None or (system is not None and self._system_bytes * 2 > limit):
            return system
        return other

    def _line(self, entry: E) -> OrderedDict[E, None]:
        return self._system if entry.kind is Kind.SYSTEM else self._other

    def _weigh(self, entry: E, change: int) -> None:
        if entry.kind is Kind.SYSTEM:
            self._system_bytes += change
        else:
            self._other_bytes += change
