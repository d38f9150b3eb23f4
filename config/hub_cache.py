"""Find models in the local Hugging Face cache, offline.

    HUB/models--ORG--NAME/refs/main                 the commit that was pulled
    HUB/models--ORG--NAME/refs/mlxd-pin             the one that was pulled by its name instead
    HUB/models--ORG--NAME/snapshots/COMMIT/…        links into blobs/
    HUB/models--ORG--NAME/blobs/…                   contents; X.incomplete while they come

What was found in a model is kept until one of those folders changes, so that looking again costs six `stat`s a model.
"""

import errno
import logging
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from mlxd.config import model_folder
from mlxd.config.model_folder import ModelFolder

PIN = "mlxd-pin"
"""The ref that goes before main."""
_PREFIX = "models--"
_SETTLE_NS = 2 * 10**9
_Stamp = tuple[int, ...]
_ASK_MACOS = "; macOS lets no service read such a disk or folder unasked: System Settings, Privacy & Security"

logger = logging.getLogger("mlxd.hub_cache")


@dataclass(frozen=True)
class HubModel:
    """Name one cached model and the folder to load."""

    id: str
    revision: str | None
    folder: ModelFolder


@dataclass(frozen=True)
class _Known:
    """Keep what was read, and what the folders looked like then."""

    stamp: _Stamp
    main: str | None
    model: HubModel


class HubCache:
    """Look into one cache folder, and remember what is there."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._known: dict[str, _Known] = {}
        self._is_refused = False

    def scan(self) -> tuple[HubModel, ...]:
        """Return every model of the cache, by id; nothing where there is no cache, or none that may be read."""
        try:
            names = sorted(name for name in os.listdir(self._root) if name.startswith(_PREFIX))
            self._is_refused = False
        except (FileNotFoundError, NotADirectoryError):
            return ()
        except OSError as error:
            self._complain(error)
            return ()
        found = tuple(filter(None, map(self._look, names)))
        self._known = {name: known for name in names if (known := self._known.get(name))}
        return found

    def _complain(self, error: OSError) -> None:
        """Say why no model is found, once for as long as it is so."""
        if not self._is_refused:
            hint = _ASK_MACOS if error.errno == errno.EPERM else ""
            logger.warning("models=%s cannot be read error=%r%s", self._root, str(error), hint)
        self._is_refused = True

    def find(self, hub_id: str) -> HubModel | None:
        """Return one model, None where the cache has nothing of it; its id is as the disk has it."""
        return self._look(self._spelled(self.folder_name(hub_id)))

    def _spelled(self, name: str) -> str:
        """Return a folder's name as the disk has it; the disk of a Mac takes any case for it (APFS)."""
        try:
            names = os.listdir(self._root)
            if name not in names and os.path.exists(self._root / name):
                folded = name.casefold()
                return next((known for known in names if known.casefold() == folded), name)
        except (OSError, ValueError):
            pass
        return name

    def path_of(self, hub_id: str) -> Path:
        """Return where the cache keeps, or would keep, a model."""
        return self._root / self.folder_name(hub_id)

    @staticmethod
    def folder_name(hub_id: str) -> str:
        """Return the cache's name for a hub id."""
        return _PREFIX + hub_id.replace("/", "--")

    def _look(self, name: str) -> HubModel | None:
        place = f"{self._root}/{name}"
        known = self._known.get(name)
        if known is not None and known.stamp == _stamp(place, known.main):
            return known.model
        main = _commit(f"{place}/refs/{PIN}") or _commit(f"{place}/refs/main")
        stamp = _stamp(place, main)
        if stamp is None:
            return None
        model = _read(Path(place), name.removeprefix(_PREFIX).replace("--", "/"), main)
        if _is_settled(stamp):
            self._known[name] = _Known(stamp, main, model)
        return model


def _read(place: Path, hub_id: str, main: str | None) -> HubModel:
    """Return the snapshot refs/main names if it is complete, else the newest complete one, else the first looked at."""
    first: HubModel | None = None
    for revision in _revisions(place, main):
        folder = model_folder.read(place / "snapshots" / revision, hub_id)
        if folder.problem is None:
            return HubModel(hub_id, revision, folder)
        first = first or HubModel(hub_id, revision, folder)
    if first is None:
        missing = (
            "its download is not finished" if _is_coming(place) else "nothing of it was downloaded"
        )
        return HubModel(hub_id, None, ModelFolder(path=place, missing=missing))
    if first.folder.missing and _is_coming(place):
        missing = f"{first.folder.missing}, a download is not finished"
        return replace(first, folder=replace(first.folder, missing=missing))
    return first


def _revisions(place: Path, main: str | None) -> Iterator[str]:
    """Yield main's revision, then the others, the newest first; the others are looked for only when asked for."""
    if main is not None and (place / "snapshots" / main).is_dir():
        yield main
    try:
        with os.scandir(place / "snapshots") as entries:
            shown = (e for e in entries if e.is_dir() and not e.name.startswith("."))
            dated = [(e.stat().st_mtime_ns, e.name) for e in shown]
    except OSError:
        return
    for _, name in sorted(dated, reverse=True):
        if name != main:
            yield name


def _is_coming(place: Path) -> bool:
    try:
        return any(name.endswith(".incomplete") for name in os.listdir(place / "blobs"))
    except OSError:
        return False


def _stamp(place: str, main: str | None) -> _Stamp | None:
    """Return what changes whenever a file of the model comes or goes; None where the model is not there."""
    changed = _changed(place)
    if changed == 0:
        return None
    snapshots = f"{place}/snapshots"
    refs = (f"{place}/refs/main", f"{place}/refs/{PIN}")
    watched = (*refs, f"{place}/blobs", snapshots, f"{snapshots}/{main}")
    return (changed, *map(_changed, watched))


def _is_settled(stamp: _Stamp) -> bool:
    """Tell whether the last change is old enough that another one would show; clocks of file systems are coarse."""
    return time.time_ns() - max(stamp) > _SETTLE_NS


def _changed(path: str) -> int:
    try:
        return os.stat(path).st_mtime_ns
    except (OSError, ValueError):
        return 0


def _commit(ref: str) -> str | None:
    """Return a ref's commit; None where there is none, or where it would lead out of the folder."""
    try:
        with open(ref, encoding="utf-8") as file:
            text = file.read().strip()
    except (OSError, ValueError):
        return None
    return text if text.isalnum() else None
