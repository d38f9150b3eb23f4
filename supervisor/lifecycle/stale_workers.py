"""Note each worker process in the run folder, and end those that a supervisor left behind which is gone.

Workers leave by themselves when their supervisor ends. One that cannot, stuck in the GPU's driver, would hold its
memory unseen. It is known by three things that must all fit: its pid, its start time, and the random word in its
environment that its supervisor gave it, as far as the system shows that.
"""

import logging
import os
import secrets
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import psutil

from mlxd.supervisor.lifecycle import run_directory
from mlxd.supervisor.lifecycle.process import Callbacks, Child, Launcher

NONCE = "_MLXD_NONCE"
"""Variable that workers inherit."""
_ENDING = ".worker"
_SAME_INSTANT_S = 0.01
_SPAWNED = "--multiprocessing-fork"
"""Last word on the command line of what multiprocessing spawns."""

logger = logging.getLogger("mlxd.stale_workers")


class Note(msgspec.Struct, frozen=True):
    """Hold what tells a worker from any other process."""

    pid: int
    started_at: float
    nonce: str


class NotingLauncher:
    """Obey `Launcher` by another one, and keep a note in `folder` for as long as a process lives."""

    def __init__(self, launcher: Launcher, folder: Path) -> None:
        self._launcher = launcher
        self._folder = folder
        self._nonce = secrets.token_hex(16)

    def start(self, name: str, callbacks: Callbacks) -> Child:
        """Start a process. Raises what the launcher raises; a note that cannot be written stops nobody."""
        noted: list[Path] = []

        def on_exit(code: int) -> None:
            for path in noted:
                run_directory.discard(path)
            callbacks.on_exit(code)

        os.environ[NONCE] = self._nonce
        own = Callbacks(callbacks.on_message, callbacks.on_log, on_exit)
        child = self._launcher.start(name, own)
        noted.append(self._folder / f"{child.pid}{_ENDING}")
        try:
            note = Note(child.pid, psutil.Process(child.pid).create_time(), self._nonce)
            noted[0].write_bytes(msgspec.json.encode(note))
        except (OSError, psutil.Error) as error:
            logger.warning("pid=%d is not noted error=%r", child.pid, str(error))
        return child


@dataclass(frozen=True, slots=True)
class Graces:
    """Hold how long, in seconds, a stale worker has to leave."""

    terminate: float
    kill: float = 5.0
    """How long the kernel has after SIGKILL, before it is only reported."""


def end_in_background(parent: Path, grace: float) -> None:
    """Find stale workers now, before their folders are cleared away, and end them on a thread of its own."""
    work = (find_stale(parent), Graces(terminate=grace))
    threading.Thread(target=end_stale, args=work, name="stale workers", daemon=True).start()


def find_stale(parent: Path) -> list[psutil.Process]:
    """Return the workers that are noted in folders of supervisors that are gone, and live."""
    return [process for folder in _orphaned(parent) for process in _alive(folder)]


def end_stale(found: Sequence[psutil.Process], graces: Graces) -> None:
    """End stale workers; waits until they have left, so it is for a thread of its own."""
    for process in found:
        logger.warning("stale worker pid=%d of an earlier mlxd, SIGTERM", process.pid)
        _send(process.terminate)
    _, stuck = psutil.wait_procs(found, timeout=graces.terminate)
    for process in stuck:
        logger.error("stale worker pid=%d did not leave after SIGTERM, SIGKILL", process.pid)
        _send(process.kill)
    for process in psutil.wait_procs(stuck, timeout=graces.kill)[1]:
        logger.error("stale worker pid=%d cannot be ended, its memory stays taken", process.pid)


def is_noted(note: Note, process: psutil.Process) -> bool:
    """Tell whether this very process was noted, and no later one of the same pid."""
    same_start = abs(process.create_time() - note.started_at) < _SAME_INSTANT_S
    return same_start and _is_marked(note, process)


def _is_marked(note: Note, process: psutil.Process) -> bool:
    """Tell whether it carries our word; a Mac hides the environment of some programs, python may be one of them.

    What is hidden reads as empty (xnu, sysctl_procargsx; psutil#2084). Then it must have been spawned as workers are.
    """
    told = process.environ()
    return told.get(NONCE) == note.nonce if told else process.cmdline()[-1:] == [_SPAWNED]


def _orphaned(parent: Path) -> list[Path]:
    if not parent.is_dir():
        return []
    folders = [folder for folder in parent.iterdir() if folder.name.isdigit()]
    own = str(os.getpid())
    return [f for f in folders if f.name == own or not psutil.pid_exists(int(f.name))]


def _alive(folder: Path) -> list[psutil.Process]:
    found = []
    for path in sorted(folder.glob(f"*{_ENDING}")):
        try:
            note = msgspec.json.decode(path.read_bytes(), type=Note)
            process = psutil.Process(note.pid)
            if process.status() != psutil.STATUS_ZOMBIE and is_noted(note, process):
                found.append(process)
        except (OSError, msgspec.DecodeError, psutil.Error):
            continue  # gone, another user's, or no note of ours
    return found


def _send(signal: Callable[[], None]) -> None:
    try:
        signal()
    except psutil.Error:
        pass  # it left this instant
