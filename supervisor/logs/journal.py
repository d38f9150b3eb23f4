"""Keep the event log: each entry goes to a file, to memory, and to whoever follows.

A disk that is full costs the file, not the daemon.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from mlxd.protocol import journal
from mlxd.protocol.journal import Entry
from mlxd.supervisor.clock import Clock, SystemClock
from mlxd.supervisor.logs.rotating_file import FILE_BYTES, RotatingFile

FILE = "events.jsonl"
KEPT = 1000
"""Entries in memory."""
_READ_BYTES = 512 << 10
"""What is read of the file at the start: about as many entries."""
_MOST_BEHIND = 1000
"""Entries a follower may be late before it is cut off."""

Tell = Callable[[Entry], None]

logger = logging.getLogger("mlxd.journal")


def unheard(entry: Entry) -> None:
    """Tell nobody."""


class Follower:
    """Hold what one follower has not taken yet."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[Entry | None] = asyncio.Queue(_MOST_BEHIND + 1)

    def put(self, entry: Entry) -> bool:
        """Add an entry; tell whether there was room, else the follower is at its end."""
        if self._queue.qsize() >= _MOST_BEHIND:
            self.end()
            return False
        self._queue.put_nowait(entry)
        return True

    def end(self) -> None:
        """Let nothing more come."""
        if not self._queue.full():
            self._queue.put_nowait(None)

    async def next(self) -> Entry | None:
        """Return the next entry, None at the end."""
        return await self._queue.get()


class Journal:
    """Number the entries and hand them on; without a file, the memory alone keeps them."""

    def __init__(
        self, file: Path | None = None, clock: Clock | None = None, *, file_bytes: int = FILE_BYTES
    ) -> None:
        self._clock = clock or SystemClock()
        self._file = RotatingFile(file, file_bytes) if file else None
        self._entries: deque[Entry] = deque(maxlen=KEPT)
        if self._file is not None:
            self._entries.extend(_decoded(self._file.end(_READ_BYTES)))
        self._seq = self._entries[-1].seq if self._entries else 0
        self._followers: set[Follower] = set()
        self._is_failing = False
        self._is_closed = False

    def note(self, entry: Entry) -> None:
        """Take an entry, giving it its number and time; raises nothing."""
        self._seq += 1
        numbered = msgspec.structs.replace(entry, seq=self._seq, at=self._clock.wall())
        self._entries.append(numbered)
        self._write(numbered)
        for follower in list(self._followers):
            if not follower.put(numbered):
                self._followers.discard(follower)

    def last(self, count: int) -> list[Entry]:
        """Return the last entries, oldest first."""
        return list(self._entries)[-count:] if count > 0 else []

    def after(self, seq: int) -> list[Entry]:
        """Return what came after the entry of this number, as far as it is remembered."""
        return [entry for entry in self._entries if entry.seq > seq]

    @contextmanager
    def follow(self) -> Iterator[Follower]:
        """Give what collects each entry from now on, while the block runs."""
        follower = Follower()
        self._followers.add(follower)
        if self._is_closed:
            follower.end()
        try:
            yield follower
        finally:
            self._followers.discard(follower)

    def close(self) -> None:
        """Let every follower come to its end; entries are still taken."""
        self._is_closed = True
        for follower in self._followers:
            follower.end()

    def _write(self, entry: Entry) -> None:
        if self._file is None:
            return
        try:
            self._file.append(msgspec.json.encode(entry) + b"\n")
            self._is_failing = False
        except OSError as error:
            if not self._is_failing:
                logger.error("event log lost file=%s error=%r", self._file.path, str(error))
            self._is_failing = True


def _decoded(content: bytes) -> Iterator[Entry]:
    """Yield the entries of whole, known lines; the first may be cut, and another version may know other kinds."""
    for line in content.splitlines():
        try:
            yield journal.decoder.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            continue
