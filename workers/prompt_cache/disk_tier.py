"""Keep states on disk under a byte limit, so that they outlive their worker.

The index is rebuilt from the files' headers; a state is read only when a prompt asks for it. Whatever is wrong with a
file, the answer is a miss: the file is set aside and its tokens are computed again.
"""

import hashlib
import logging
import shutil
import time
from collections.abc import Generator
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO, TypeAlias

from mlxd.workers.prompt_cache import entry_file
from mlxd.workers.prompt_cache.disk_folder import SUFFIX, DiskFolder
from mlxd.workers.prompt_cache.entry_file import Damaged, Header
from mlxd.workers.prompt_cache.eviction_order import Kind
from mlxd.workers.prompt_cache.packing import Packed, count, head
from mlxd.workers.prompt_cache.prefix_index import Entry, Match, PrefixIndex
from mlxd.workers.prompt_cache.snapshot import Snapshot
from mlxd.workers.prompt_cache.stats import DiskStats
from mlxd.workers.prompt_cache.stepwise import Stepwise

log = logging.getLogger(__name__)

KEEP_FREE = 1 << 30
"""Bytes of the disk that are left to others."""
SETTLED = 100_000_000
"""Nanoseconds after which a change of the folder shows in its time, on any file system."""
FAILURES = 3
"""Refused writes in a row after which this process writes no more."""

Filed: TypeAlias = Entry[str]
"""A state whose value is its file's name."""


class DiskTier:
    """Own one model's folder; all bytes in it together stay within `limit`.

    Only making it can raise, an `OSError` where there can be no such folder; later trouble is a miss and a warning.
    """

    def __init__(
        self, path: Path, fingerprint: str, limit: int, *, keep_free: int = KEEP_FREE
    ) -> None:
        self.limit = limit
        self._fingerprint = fingerprint
        self._keep_free = keep_free
        self._folder = DiskFolder(path)
        self._index: PrefixIndex[str] = PrefixIndex()
        self._files: dict[str, Filed] = {}
        self._seen = 0
        self._written = self._read = self._evicted = self._quarantined = self._failed = 0
        self._refusals = 0
        self._refresh()

    def stats(self) -> DiskStats:
        """Return what the tier holds and did."""
        return DiskStats(
            entries=len(self._index),
            bytes=self._index.nbytes,
            limit=self.limit,
            written=self._written,
            read=self._read,
            evicted=self._evicted,
            quarantined=self._quarantined,
            failed=self._failed,
        )

    def match(self, prompt: Packed, tenant: str = "") -> Match[str] | None:
        """Return the file that would serve most of the prompt, never all of it."""
        self._refresh()
        return self._index.lookup(head(prompt, count(prompt) - 1), tenant)

    def lacks(self, tokens: Packed, tenant: str = "") -> bool:
        """Tell whether a state of these tokens is worth writing."""
        if self._refusals >= FAILURES:
            return False
        return self._holder(tokens, tenant) is None

    def touch(self, tokens: Packed, tenant: str = "") -> None:
        """Note that a state which memory holds too was used."""
        if (entry := self._holder(tokens, tenant)) is not None:
            self._use(entry)

    def write(self, state: Snapshot) -> Stepwise[bool]:
        """Begin to write a state; the result tells whether it was kept."""
        return Stepwise(self._writing(state))

    def read(self, entry: Filed) -> Stepwise[Snapshot | None]:
        """Begin to read a file; the result is None if it turned out bad."""
        return Stepwise(self._reading(entry))

    def _writing(self, state: Snapshot) -> Generator[None, None, bool]:
        nbytes = len(entry_file.compose(state, self._fingerprint)) + state.nbytes
        draft = None
        try:
            with (yield from self._alone()):
                draft = self._folder.draft(nbytes) if self._make_room(nbytes) else None
            if draft is None:
                return False
            yield from entry_file.write(draft.file, state, self._fingerprint)
            # Whoever makes room would count it neither as being written nor as written, if it changed in between.
            with (yield from self._alone()):
                self._folder.publish(draft, _name(state.tokens, state.tenant))
        except OSError as error:
            self._refuse(error)
            return False
        finally:
            if draft is not None:
                self._folder.discard(draft)
        self._refusals = 0
        self._written += 1
        self._refresh(anyway=True)
        self._supersede(state)
        return True

    def _alone(self) -> Generator[None, None, BinaryIO]:
        """Wait until no other process makes room or publishes; so it stays until the result is closed."""
        while (locked := self._folder.lock()) is None:
            yield
        return locked

    def _reading(self, entry: Filed) -> Generator[None, None, Snapshot | None]:
        name = entry.value
        try:
            with (self._folder.path / name).open("rb") as file:
                state = yield from entry_file.read(file)
            if _name(state.tokens, state.tenant) != name:
                raise Damaged("its tokens are not those of its name")
        except FileNotFoundError:
            self._forget(name)
            return None
        except (OSError, Damaged) as error:
            self._quarantine(name, str(error))
            return None
        self._read += 1
        if self._files.get(name) is entry:
            self._use(entry)
        return state

    def _refresh(self, *, anyway: bool = False) -> None:
        """Take notice of what was added, used and removed, by other processes too."""
        try:
            changed = self._folder.changed_at()
            if changed == self._seen and not anyway:
                return
            listed = self._folder.listed()
        except OSError:
            changed, listed = 0, []  # nothing can be read: nothing is known
        # A change right after this look may carry the same time: only an old one tells that nothing happened since.
        self._seen = changed if time.time_ns() - changed > SETTLED else 0
        for name in self._files.keys() - {file.name for file in listed}:
            self._forget(name)
        for file in listed:
            if file.name not in self._files:
                self._admit(file.name, file.nbytes)
            if file.name in self._files:
                self._index.order.touch(self._files[file.name])

    def _admit(self, name: str, nbytes: int) -> None:
        try:
            with (self._folder.path / name).open("rb") as file:
                header, tokens = self._described(file, name)
        except FileNotFoundError:
            return
        except (OSError, Damaged) as error:
            self._quarantine(name, str(error))
            return
        self._files[name] = self._index.add(
            tokens,
            name,
            nbytes=nbytes,
            kind=header.kind,
            trimmable=header.trimmable,
            tenant=header.tenant,
        )

    def _described(self, file: BufferedReader, name: str) -> tuple[Header, Packed]:
        header = entry_file.read_header(file)
        if header.fingerprint != self._fingerprint:
            raise Damaged("it belongs to another model")
        tokens = entry_file.read_tokens(file, header)
        if _name(tokens, header.tenant) != name:
            raise Damaged("its tokens are not those of its name")
        return header, tokens

    def _make_room(self, nbytes: int) -> bool:
        """Remove what must go for a file of this size; False if it cannot be had."""
        free = shutil.disk_usage(self._folder.path).free
        if nbytes > self.limit or free < nbytes + self._keep_free:
            return False
        self._folder.sweep()
        self._refresh(anyway=True)
        while self._index.nbytes + self._folder.other_bytes() + nbytes > self.limit:
            if self._folder.drop_set_aside():
                continue
            if (victim := self._index.order.victim(self.limit)) is None:
                return False
            self._remove(victim)
            self._evicted += 1
        return True

    def _supersede(self, state: Snapshot) -> None:
        """Remove the files whose every use the new one serves."""
        if state.trimmable:
            for entry in self._index.prefixes(state.tokens, state.tenant):
                if entry.trimmable and entry.kind is not Kind.SYSTEM:
                    self._remove(entry)

    def _holder(self, tokens: Packed, tenant: str) -> Filed | None:
        entry = self._index.get(tokens, tenant)
        return entry if entry is not None else self._index.covering(tokens, tenant)

    def _use(self, entry: Filed) -> None:
        self._index.order.touch(entry)
        self._folder.touch(entry.value)

    def _remove(self, entry: Filed) -> None:
        self._folder.remove(entry.value)
        self._forget(entry.value)

    def _forget(self, name: str) -> None:
        if (entry := self._files.pop(name, None)) is not None:
            self._index.remove(entry)

    def _quarantine(self, name: str, reason: str) -> None:
        self._folder.set_aside(name, reason)
        self._forget(name)
        self._quarantined += 1

    def _refuse(self, error: OSError) -> None:
        self._failed += 1
        self._refusals += 1
        more = "; nothing more is written" if self._refusals == FAILURES else ""
        log.warning("prompt cache: the disk refused: %s%s", error, more)


def _name(tokens: Packed, tenant: str) -> str:
    """Return the file name of a state; two processes give the same one to the same tokens."""
    digest = hashlib.blake2b(tenant.encode(), digest_size=16)
    digest.update(b"\0")
    digest.update(tokens)
    return digest.hexdigest() + SUFFIX
