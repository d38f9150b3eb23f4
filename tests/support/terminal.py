"""Run a command on a terminal of its own, type into it and read its screen."""

import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

CTRL_C = "\x03"
_PATIENCE_S = 60.0
_TAKE_TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execvp(sys.argv[1], sys.argv[1:])
"""
"""What runs between us and the command, so that Ctrl-C on this terminal reaches it; forking here could deadlock."""


class Terminal:
    """The keyboard and the screen of one command."""

    def __init__(self, process: "subprocess.Popen[bytes]", line: int) -> None:
        self.process = process
        self.screen = ""
        self._line = line

    def type(self, text: str) -> None:
        """Press keys."""
        os.write(self._line, text.encode())

    def wait_for(self, text: str) -> None:
        """Read until the screen shows the text."""
        deadline = time.monotonic() + _PATIENCE_S
        while text not in self.screen:
            if not self._read(deadline):
                raise AssertionError(
                    f"waited in vain for {text!r}; the screen shows {self.screen!r}"
                )

    def exit_code(self) -> int:
        """Read to the end and return how the command left."""
        deadline = time.monotonic() + _PATIENCE_S
        while self._read(deadline):
            pass
        return self.process.wait(timeout=_PATIENCE_S)

    def _read(self, deadline: float) -> bool:
        ready, _, _ = select.select([self._line], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            return False
        try:
            chunk = os.read(self._line, 65536)
        except OSError:  # what Linux says when the last process has closed the terminal
            return False
        self.screen += chunk.decode(errors="replace").replace("\r\n", "\n")
        return chunk != b""


@contextmanager
def terminal(command: Sequence[str], env: Mapping[str, str]) -> Iterator[Terminal]:
    """Run a command on a terminal while the block lasts."""
    line, theirs = os.openpty()
    process = subprocess.Popen(
        [sys.executable, "-S", "-c", _TAKE_TERMINAL, *command],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=dict(env),
        start_new_session=True,
    )
    os.close(theirs)
    try:
        yield Terminal(process, line)
    finally:
        process.kill()
        process.wait()
        os.close(line)
