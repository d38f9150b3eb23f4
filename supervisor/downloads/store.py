"""Put downloaded files where the Hugging Face cache has them, so that a model appears whole or not at all.

HUB/models--ORG--NAME/blobs/ETAG.incomplete     while it comes; a later attempt goes on from its end
HUB/models--ORG--NAME/blobs/ETAG                when it is there and its hash is right
HUB/models--ORG--NAME/snapshots/COMMIT/…        links, made in one step when all files are there
JOURNAL/models--ORG--NAME.json                  what was to come, until it has
JOURNAL/models--ORG--NAME.lock                  held by the one process that writes there
"""

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from mlxd.config.hub_cache import PIN, HubCache
from mlxd.protocol.downloads import Unfinished
from mlxd.supervisor.downloads.files import RepoFile

_PARTIAL = ".incomplete"
_LEAVING = ".mlxd-leaving-"


class Note(msgspec.Struct, frozen=True):
    """Remember what was to come."""

    model: str
    total_bytes: int
    etags: list[str]


class RepoStore:
    """Own one repository's part of the cache."""

    def __init__(self, cache: Path, journal: Path, repo: str) -> None:
        self._repo = repo
        name = HubCache.folder_name(repo)
        self.place = cache / name
        self._blobs = self.place / "blobs"
        self._note = journal / f"{name}.json"
        self._lock = journal / f"{name}.lock"

    @contextmanager
    def locked(self, on_wait: Callable[[], None] | None = None) -> Iterator[None]:
        """Hold the right to write here.

        Where another process has it, this tells `on_wait` and waits; without that it raises BlockingIOError.
        """
        self._lock.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self._lock.open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if on_wait is None:
                    raise
                on_wait()
                fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def partial(self, file: RepoFile) -> Path:
        """Return where a file grows."""
        return self._blobs / (file.etag + _PARTIAL)

    def blob(self, file: RepoFile) -> Path:
        """Return where a file is once it is complete."""
        return self._blobs / file.etag

    def has(self, file: RepoFile) -> bool:
        """Tell whether a file is complete."""
        return self.blob(file).is_file() and _size(self.blob(file)) == file.size

    def present(self, file: RepoFile) -> int:
        """Return how many bytes of a file are here."""
        if self.has(file):
            return file.size
        return min(_size(self.partial(file)), file.size)

    def begin(self, files: Sequence[RepoFile]) -> None:
        """Note what is to come."""
        self._blobs.mkdir(parents=True, exist_ok=True)
        etags = sorted({file.etag for file in files})
        total = sum(file.size for file in files)
        _replace(self._note, msgspec.json.encode(Note(self._repo, total, etags)))

    def publish(self, commit: str, revision: str | None, files: Sequence[RepoFile]) -> Path:
        """Make the files a model: a folder of links that appears at once, then the refs to it."""
        snapshot = self.place / "snapshots" / commit
        fresh = snapshot.with_name(f".{commit}.{os.getpid()}")
        target = snapshot if snapshot.is_dir() else fresh
        for file in files:  # weights come last: a folder that was there is complete only with them
            link = target / file.path
            link.parent.mkdir(parents=True, exist_ok=True)
            link.unlink(missing_ok=True)
            # From where it will stand: both folders are equally deep.
            link.symlink_to(os.path.relpath(self.blob(file), link.parent))
        if target is fresh:
            fresh.rename(snapshot)
        self._refer(commit, revision)
        self._note.unlink(missing_ok=True)
        return snapshot

    def _refer(self, commit: str, revision: str | None) -> None:
        refs = self.place / "refs"
        if revision is None or revision == "main":
            _replace(refs / "main", commit.encode())
            (refs / PIN).unlink(missing_ok=True)
            return
        if revision != commit:
            _replace(refs / revision, commit.encode())
        _replace(refs / PIN, commit.encode())

    def discard(self) -> None:
        """Remove what no model uses, as if the download had never begun."""
        used = {link.resolve() for link in (self.place / "snapshots").rglob("*") if link.is_file()}
        note = read_note(self._note)
        own = set(note.etags) if note else set()
        for path in _files(self._blobs):
            if path.name.removesuffix(_PARTIAL) in own and path.resolve() not in used:
                path.unlink(missing_ok=True)
        for folder in (self._blobs, self.place / "refs", self.place / "snapshots", self.place):
            try:
                folder.rmdir()
            except OSError:
                continue  # something else is in it, or it never was there
        self._note.unlink(missing_ok=True)

    def remove(self) -> int:
        """Remove the repository from the cache; returns the bytes that came free.

        What a blob links to outside, in a store that several repositories share, stays.
        """
        freed = sum(path.lstat().st_size for path in _files(self._blobs) if not path.is_symlink())
        leaving = self.place.with_name(f"{_LEAVING}{self.place.name}.{os.getpid()}")
        self.place.rename(leaving)  # at once gone for everybody who looks
        shutil.rmtree(leaving)
        shutil.rmtree(self.place.parent / ".locks" / self.place.name, ignore_errors=True)
        self._note.unlink(missing_ok=True)
        return freed


def unfinished(cache: Path, journal: Path) -> list[Unfinished]:
    """Return the models of which a part is on the disk, by name."""
    found: dict[str, Unfinished] = {}
    for path in cache.glob(f"models--*/blobs/*{_PARTIAL}"):
        name = path.parent.parent.name
        model = name.removeprefix("models--").replace("--", "/")
        before = found[model].completed_bytes if model in found else 0
        found[model] = Unfinished(model=model, completed_bytes=before + _size(path))
    for path in journal.glob("*.json"):
        if note := read_note(path):
            blobs = cache / HubCache.folder_name(note.model) / "blobs"
            done = sum(
                _size(blobs / etag) or _size(blobs / (etag + _PARTIAL)) for etag in note.etags
            )
            found[note.model] = Unfinished(
                model=note.model, completed_bytes=done, total_bytes=note.total_bytes
            )
    return [found[name] for name in sorted(found)]


def read_note(path: Path) -> Note | None:
    """Return what was noted, None where there is nothing to read."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Note)
    except (OSError, msgspec.DecodeError):
        return None


def _files(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _replace(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.write_bytes(content)
    fresh.replace(path)
