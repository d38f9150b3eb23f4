"""Enter a worker in a freshly spawned process. Imports nothing of mlxd, so that a worker starts lean."""

import importlib
import os
import signal
import socket
from multiprocessing.connection import Connection


def enter(entry: str, control: socket.socket, log: "Connection[bytes, bytes]") -> None:
    """Become a process group of its own, write to the log pipe, and call `module:function` with the control socket.

    The entry point is named by import path so that the supervisor never imports `mlxd.workers`.
    """
    os.setpgrp()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.dup2(log.fileno(), 1)
    os.dup2(log.fileno(), 2)
    log.close()
    module, _, function = entry.partition(":")
    getattr(importlib.import_module(module), function)(control)
