"""Let states along one conversation share what they have in common.

The attention part of the state after n tokens is the first n columns of the state after more. A trunk holds the
longest one, and each state that is a prefix of it is a user with a length. A checkpoint of a hybrid model then costs
its recurrent state only, and the system prompt of a conversation that is in memory costs nothing.
"""

from collections.abc import Mapping
from typing import Generic, TypeVar

from mlxd.workers.prompt_cache import caches

U = TypeVar("U")


class Trunk(Generic[U]):
    """Hold sliceable leaves, by their place, as long as the longest user needs them."""

    def __init__(self, leaves: Mapping[int, caches.Leaf], length: int) -> None:
        self._leaves = {place: caches.own(leaf) for place, leaf in leaves.items()}
        self._lengths: dict[U, int] = {}
        self._length = length
        self.nbytes = self._measured()

    def __contains__(self, place: int) -> bool:
        return place in self._leaves

    @property
    def users(self) -> list[U]:
        """Return who shares this."""
        return list(self._lengths)

    @property
    def buffers(self) -> object:
        """Return what is replaced when the buffers are."""
        return self._leaves

    @property
    def leaves(self) -> list[caches.Leaf]:
        """Return what is held."""
        return list(self._leaves.values())

    def view(self, place: int, tokens: int) -> caches.Leaf:
        """Return one leaf as it was after so many tokens."""
        return caches.cut(self._leaves[place], tokens)

    def join(self, user: U, length: int) -> None:
        """Hold the first `length` tokens for this user."""
        self._lengths[user] = length

    def leave(self, user: U) -> None:
        """Let go of what no other user needs; what is left moves to smaller buffers."""
        del self._lengths[user]
        longest = max(self._lengths.values(), default=0)
        if not longest:
            self._leaves = {}
        elif longest < self._length:
            cut = {place: caches.cut(leaf, longest) for place, leaf in self._leaves.items()}
            self._leaves = {place: caches.own(leaf) for place, leaf in cut.items()}
            caches.start(self.leaves)
        self._length = longest
        self.nbytes = self._measured()

    def payer(self) -> U | None:
        """Return the user to whom the bytes are charged: the longest, whose leaving frees the most."""
        return max(self._lengths, key=self._lengths.__getitem__, default=None)

    def _measured(self) -> int:
        return sum(map(caches.nbytes, self._leaves.values()))
