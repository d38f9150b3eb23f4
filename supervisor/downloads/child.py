"""Be the process that downloads: one order comes in, one line of JSON per step goes out.

It has a process of its own because huggingface_hub is heavy and blocks. Its input stays open for as long as whoever
started it wants the model: at its end the process leaves, and what has come so far stays for the next attempt.
"""

import os
import shutil
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec

from mlxd.protocol.downloads import Failed, Order, Progress, PullState
from mlxd.protocol.errors import DiskFull, InternalError
from mlxd.supervisor.downloads import files as choice
from mlxd.supervisor.downloads.store import RepoStore

COMMAND = (sys.executable, "-P", "-m", "mlxd.supervisor.downloads.child")
_INTERVAL_S = 0.25
_LEFT = 3


def environment(env: Mapping[str, str]) -> dict[str, str]:
    """Return what the process is started with: no bars of its own, plain HTTP with ranges, no telemetry."""
    quiet = ("HF_HUB_DISABLE_PROGRESS_BARS", "HF_HUB_DISABLE_XET", "HF_HUB_DISABLE_TELEMETRY")
    return {**env, **dict.fromkeys(quiet, "1")}


def main() -> int:
    """Read the order, carry it out, and tell how it ended."""
    order = msgspec.json.decode(sys.stdin.buffer.readline(), type=Order)
    threading.Thread(target=_leave_at_end_of_input, daemon=True).start()
    from mlxd.supervisor.downloads.hub import explained

    try:
        _Pull(order).run()
    except Exception as error:
        known = explained(error, order.model)
        if known is None:
            import traceback

            traceback.print_exc()
            known = InternalError(f"the download failed: {type(error).__name__}: {error}")
        _say(Failed(code=known.code, message=known.message, field=known.field))
        return 1
    return 0


def _leave_at_end_of_input() -> None:
    while os.read(0, 4096):
        pass
    os._exit(_LEFT)


def _say(event: Progress | Failed) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(event) + b"\n")
    sys.stdout.buffer.flush()


class _Pull:
    """Carry out one order."""

    def __init__(self, order: Order) -> None:
        from mlxd.supervisor.downloads.hub import Hub

        self._order = order
        self._cache = Path(order.cache)
        self._hub = Hub(order.token)
        self._store = RepoStore(self._cache, Path(order.journal), order.model)
        self._lock = threading.Lock()
        self._now = Progress(model=order.model, status="waiting")

    def run(self) -> None:
        """Plan, fetch, publish."""
        order, store = self._order, self._store
        commit, tree = self._hub.survey(order.model, order.revision)
        files = choice.choose(order.model, tree)
        self._now = self._plan(commit, files)
        if order.dry_run:
            self._tell("planned")
            return
        with store.locked(on_wait=lambda: self._tell("waiting")):
            self._fetch(commit, files)

    def _fetch(self, commit: str, files: list[choice.RepoFile]) -> None:
        order, store = self._order, self._store
        self._now = self._plan(commit, files)
        self._tell("planned")
        try:
            self._require_room()
            store.begin(files)
            with self._telling():
                self._hub.fetch(order.model, commit, files, store, self._advance)
            store.publish(commit, order.revision, files)
        except Exception as error:
            from mlxd.supervisor.downloads.hub import explained

            if isinstance(explained(error, order.model), DiskFull):
                store.discard()
            raise
        self._tell("done")

    def _plan(self, commit: str, files: list[choice.RepoFile]) -> Progress:
        once = {file.etag: file for file in files}.values()
        return Progress(
            model=self._order.model,
            status="planned",
            revision=commit,
            files=len(files),
            total_bytes=sum(file.size for file in once),
            completed_bytes=sum(map(self._store.present, once)),
            weights_bytes=choice.weights_bytes(files),
            free_bytes=_free(self._cache),
        )

    def _require_room(self) -> None:
        from mlxd.supervisor.downloads.hub import SPARE_BYTES

        missing = self._now.total_bytes - self._now.completed_bytes
        if missing and missing + SPARE_BYTES > self._now.free_bytes:
            raise DiskFull(
                f"{self._order.model} needs {missing} more bytes on the disk of {self._cache}, which has "
                f"{self._now.free_bytes} left; {SPARE_BYTES} of them stay free"
            )

    def _advance(self, count: int) -> None:
        with self._lock:
            done = self._now.completed_bytes + count
            self._now = msgspec.structs.replace(self._now, completed_bytes=done)

    @contextmanager
    def _telling(self) -> Iterator[None]:
        over = threading.Event()
        teller = threading.Thread(target=self._tell_now_and_then, args=(over,))
        teller.start()
        try:
            yield
        finally:
            over.set()
            teller.join()

    def _tell_now_and_then(self, over: threading.Event) -> None:
        told = self._now.completed_bytes
        while not over.wait(_INTERVAL_S):
            if self._now.completed_bytes != told:
                told = self._now.completed_bytes
                self._tell("downloading")

    def _tell(self, status: PullState) -> None:
        with self._lock:
            free = _free(self._cache)
            self._now = msgspec.structs.replace(self._now, status=status, free_bytes=free)
            _say(self._now)


def _free(folder: Path) -> int:
    """Return what the disk has left on which a folder is, or will be."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    os._exit(code)  # the thread that reads the input would keep the interpreter
