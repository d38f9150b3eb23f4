"""Be a real worker whose model library fails on one token, the way a device or a model does."""

import importlib
import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from mlxd.workers import main

POISON = 1535
MARK = "MLXD_TEST_MARK"
"""Names the file by which processes know that one of them has failed."""
HANGS = "planted: this step never ends"
MESSAGES = {
    "row": "planted: this prompt cannot be read",
    "device": "[METAL] Command buffer execution failed: Caused GPU Hang Error (planted)",
}


def _run(control: socket.socket, fail: Callable[[], None]) -> NoReturn:
    library = importlib.import_module("mlx_lm.models.qwen3")
    forward = library.Model.__call__

    def call(self: Any, inputs: Any, *args: Any, **rest: Any) -> Any:
        if (inputs == POISON).any().item():
            fail()
        return forward(self, inputs, *args, **rest)

    library.Model.__call__ = call
    main.run(control)


def fails_on_a_row(control: socket.socket) -> NoReturn:
    """Fail on the token with an error that says nothing about the device."""
    _run(control, lambda: _fail("row"))


def fails_as_a_device(control: socket.socket) -> NoReturn:
    """Fail on the token as a GPU does."""
    _run(control, lambda: _fail("device"))


def fails_once_as_a_device(control: socket.socket) -> NoReturn:
    """Do so in the first process only, whoever of them comes to it first: its mark is a file."""
    _run(control, _fail_once)


def hangs(control: socket.socket) -> NoReturn:
    """Never come back from a step with the token."""
    _run(control, _hang)


def _fail_once() -> None:
    try:
        Path(os.environ[MARK]).touch(exist_ok=False)
    except FileExistsError:
        return
    _fail("device")


def _hang() -> None:
    print(HANGS, flush=True)
    threading.Event().wait()


def _fail(how: str) -> None:
    raise RuntimeError(MESSAGES[how])
