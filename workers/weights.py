"""Read a model's weights into memory, on the thread that will use them, and tell how far it is."""

import json
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import mlx.core as mx
from mlx.utils import tree_flatten

from mlxd.protocol.errors import ModelLoadFailed
from mlxd.workers import disk_reads

PORTION = 32 << 20
"""Bytes evaluated at once: small enough that each portion is done long before anybody loses patience."""
IN_FLIGHT = 4
"""Portions asked for before the first is waited for, so that the disk is never idle."""
REPORT_SECONDS = 0.1
WITNESS_SECONDS = 1.0

Report = Callable[[int, int], None]
"""Takes bytes read and bytes in all."""


class LoadStopped(Exception):
    """Report that the load was given up because the worker was told to leave."""


_WITH_CODE = (
    "config.json", "tokenizer_config.json", "processor_config.json", "preprocessor_config.json",
    "video_preprocessor_config.json",
)  # fmt: skip
"""Files whose `auto_map` names code of the folder's own."""


def refuse_code(folder: Path, *, trusted: bool = False) -> dict[str, Any]:
    """Return config.json; raises ModelLoadFailed for a folder that is none, or whose model is code nobody trusts."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelLoadFailed(f"{folder}: no readable config.json ({error.strerror})") from None
    except ValueError as error:
        raise ModelLoadFailed(f"{folder}/config.json is not valid JSON: {error}") from None
    if not isinstance(config, dict):
        raise ModelLoadFailed(f"{folder}/config.json: expected an object")
    if config.get("model_file") and not trusted:
        raise ModelLoadFailed(
            f"{folder}: wants to run code of its own ({config['model_file']}); that needs an entry under "
            "`models` with `trust_remote_code: true`"
        )
    return config


def refuse_auto_map(folder: Path) -> None:
    """Raise ModelLoadFailed for a folder that names classes of its own for a library to run."""
    for name in _WITH_CODE:
        try:
            content = json.loads((folder / name).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(content, dict) and content.get("auto_map"):
            raise ModelLoadFailed(
                f"{folder}/{name}: auto_map wants to run code of the folder's own; that needs an entry under "
                "`models` with `trust_remote_code: true`"
            )


def arrays_of(model: Any) -> list[mx.array]:
    """Return every array of a model once, those outside its parameters included."""
    leaves = cast(list[tuple[str, object]], tree_flatten(model))
    arrays = {id(leaf): leaf for _, leaf in leaves if isinstance(leaf, mx.array)}
    return list(arrays.values())


@contextmanager
def recorded() -> Iterator[list[mx.array]]:
    """Note the arrays that files are said to hold while a model is built of them; yields the list."""
    found: list[mx.array] = []
    original = mx.load

    def load(*args: Any, **kwargs: Any) -> Any:
        loaded = original(*args, **kwargs)
        leaves = cast(list[tuple[str, object]], tree_flatten([loaded]))
        found.extend(leaf for _, leaf in leaves if isinstance(leaf, mx.array))
        return loaded

    setattr(mx, "load", load)  # noqa: B010
    try:
        yield found
    finally:
        setattr(mx, "load", original)  # noqa: B010


def read(
    model: Any, report: Report, stopped: Callable[[], bool], files: list[mx.array] | None = None
) -> int:
    """Evaluate all arrays portion by portion and return their bytes; raises LoadStopped.

    What the model's arrays are computed from, of those recorded in `files`, which is emptied, is read ahead of them:
    macOS ends a GPU's work that waits for a disk longer than some seconds, and the process with it (mlx#3803,
    mlx-lm#1572). Reading alone is no work of the GPU's.
    """
    arrays = arrays_of(model)
    total = sum(array.nbytes for array in arrays)
    direct = {id(array) for array in arrays}
    sources = deque(array for array in files or () if id(array) not in direct)
    (files or []).clear()
    whole = total + sum(array.nbytes for array in sources)
    with Progress(whole, report) as progress:
        # Let go of as they are read: those that no array needs are gone at once.
        _compute(_portions(_taken(sources)), progress, stopped)
        _compute(_portions(arrays), progress, stopped)
    report(whole, whole)
    return total


def _compute(
    portions: Iterator[list[mx.array]], progress: "Progress", stopped: Callable[[], bool]
) -> None:
    asked: deque[list[mx.array]] = deque()
    for portion in portions:
        if stopped():
            raise LoadStopped
        mx.async_eval(portion)  # type: ignore[no-untyped-call]
        asked.append(portion)
        if len(asked) == IN_FLIGHT:
            _wait(asked.popleft(), progress)
    while asked:
        _wait(asked.popleft(), progress)


def _taken(arrays: deque[mx.array]) -> Iterator[mx.array]:
    while arrays:
        yield arrays.popleft()


def _portions(arrays: Iterable[mx.array]) -> Iterator[list[mx.array]]:
    portion: list[mx.array] = []
    size = 0
    for array in arrays:
        portion.append(array)
        size += array.nbytes
        if size >= PORTION:
            yield portion
            portion, size = [], 0
    yield portion


def _wait(portion: list[mx.array], progress: "Progress") -> None:
    mx.eval(portion)
    progress.add(sum(array.nbytes for array in portion))


class Progress:
    """Report bytes read as they are read, and that a single large array is still being read.

    A disk may need minutes for one array. While the system counts reads of this process, the load is alive; when it
    does not, nothing is reported, and the supervisor's patience runs out.
    """

    def __init__(self, total: int, report: Report) -> None:
        self._total = total
        self._report = report
        self._read = 0
        self._reported = 0.0
        self._over = threading.Event()
        self._witness = threading.Thread(target=self._watch, name="load-progress", daemon=True)

    def __enter__(self) -> "Progress":
        self._report(0, self._total)
        self._witness.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._witness.join()

    def add(self, size: int) -> None:
        """Count bytes that are in memory now."""
        self._read += size
        now = time.monotonic()
        if now - self._reported >= REPORT_SECONDS:
            self._reported = now
            self._report(self._read, self._total)

    def _watch(self) -> None:
        seen = disk_reads.counted()
        while not self._over.wait(WITNESS_SECONDS):
            counted = disk_reads.counted()
            if counted != seen:
                seen = counted
                self._report(self._read, self._total)
