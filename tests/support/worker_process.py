"""Run a real worker on a model folder, without a supervisor."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mlxd.protocol.control import Failed, Ready, Start, decode_from_worker, encode
from mlxd.protocol.kinds import ModelKind
from mlxd.protocol.spec import WorkerSpec

_ENTER = (
    "import socket, sys; from mlxd.workers.main import run; "
    "run(socket.socket(fileno=int(sys.argv[1])))"
)
_PATIENCE_S = 60.0


@contextmanager
def worker(folder: Path, path: Path) -> Iterator[None]:
    """Serve the model on the Unix socket at `path` while the block runs."""
    ours, theirs = socket.socketpair()
    ours.settimeout(_PATIENCE_S)
    number = str(theirs.fileno())
    command = [sys.executable, "-P", "-c", _ENTER, number]
    process = subprocess.Popen(command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)
    theirs.close()
    spec = WorkerSpec(model_id="the-model", kind=ModelKind.TEXT, path=str(folder), socket=str(path))
    try:
        with ours, ours.makefile("rb") as lines:
            ours.sendall(encode(Start(spec)))
            for line in lines:
                news = decode_from_worker(line)
                assert not isinstance(news, Failed), news
                if isinstance(news, Ready):
                    break
            yield
    finally:
        process.wait(_PATIENCE_S)
