"""Find the engine of a model kind; each is imported on demand, so that a worker loads only its own libraries."""

import importlib
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from starlette.applications import Starlette

from mlxd.protocol.errors import MlxdError, ModelLoadFailed
from mlxd.protocol.kinds import ModelKind
from mlxd.protocol.spec import WorkerSpec
from mlxd.workers.engine.inbox import Inbox, Leave
from mlxd.workers.limits import Granted


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What an engine gets from the process it runs in."""

    inbox: Inbox
    granted: Granted
    progress: Callable[[int, int], None]
    beat: Callable[[int, int], None]
    leaving: threading.Event
    """Set once the worker is to leave; a load gives up then."""
    gone: Callable[[Leave], None] = lambda leave: None
    """Told why the worker leaves by itself, before its requests are."""


class Served(Protocol):
    """A loaded model, ready to answer. Everything but `close` belongs to the main thread."""

    weights_bytes: int
    context_length: int
    app: Starlette

    def run(self) -> Leave:
        """Work until the inbox says to leave."""
        ...

    def close(self, error: MlxdError) -> None:
        """Fail what runs and whatever comes; any thread may call this."""
        ...

    def free(self) -> None:
        """Drop the model."""
        ...


Load = Callable[[WorkerSpec, Surroundings], Served]


class MissingExtra(ModelLoadFailed):
    """Say which libraries are not installed and how to install them."""


class UnservedKind(ModelLoadFailed):
    """Say that nothing here serves such models."""


@dataclass(frozen=True, slots=True)
class Entry:
    """Where a kind's engine is, and the extra that installs its libraries; None = part of every install."""

    module: str
    extra: str | None = None


ENGINES: Mapping[ModelKind, Entry] = {
    ModelKind.TEXT: Entry("mlxd.workers.kinds.text"),
    ModelKind.VISION: Entry("mlxd.workers.kinds.vision", extra="vision"),
    ModelKind.EMBEDDING: Entry("mlxd.workers.kinds.embedding", extra="embeddings"),
    ModelKind.RERANK: Entry("mlxd.workers.kinds.rerank", extra="embeddings"),
    ModelKind.SPEECH: Entry("mlxd.workers.kinds.speech", extra="audio"),
    ModelKind.TRANSCRIPTION: Entry("mlxd.workers.kinds.transcription", extra="audio"),
    ModelKind.IMAGE: Entry("mlxd.workers.kinds.image", extra="images"),
}
TOKENIZER = Entry("mlxd.workers.kinds.tokenizer")


def find(
    kind: ModelKind, engines: Mapping[ModelKind, Entry] = ENGINES, *, tokenizer_only: bool = False
) -> Load:
    """Return the kind's `load` function, or the one of a bare tokenizer; raises MissingExtra or UnservedKind."""
    entry = TOKENIZER if tokenizer_only else engines.get(kind)
    if entry is None:
        raise UnservedKind(f"this version of mlxd serves no {kind} models")
    try:
        module = importlib.import_module(entry.module)
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("mlxd"):
            raise
        name = "mlxd" if entry.extra is None else f"mlxd[{entry.extra}]"
        raise MissingExtra(
            f"{kind} models need the module {error.name}: pip install '{name}'"
        ) from error
    load: Load = module.load
    return load
