"""Be a real worker whose model library fails on one token, the way a device or a model does."""

import importlib
import socket
from typing import Any, NoReturn

from mlxd.workers import main

POISON = 1535
MESSAGES = {
    "row": "planted: this prompt cannot be read",
    "device": "[METAL] Command buffer execution failed: Caused GPU Hang Error (planted)",
}


def _run(control: socket.socket, message: str) -> NoReturn:
    library = importlib.import_module("mlx_lm.models.qwen3")
    forward = library.Model.__call__

    def call(self: Any, inputs: Any, *args: Any, **rest: Any) -> Any:
        if (inputs == POISON).any().item():
            raise RuntimeError(message)
        return forward(self, inputs, *args, **rest)

    library.Model.__call__ = call
    main.run(control)


def fails_on_a_row(control: socket.socket) -> NoReturn:
    """Fail on the token with an error that says nothing about the device."""
    _run(control, MESSAGES["row"])


def fails_as_a_device(control: socket.socket) -> NoReturn:
    """Fail on the token as a GPU does."""
    _run(control, MESSAGES["device"])
