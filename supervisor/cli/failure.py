"""Hold the ways a command fails, each with its exit code."""

from enum import IntEnum


class Exit(IntEnum):
    """Exit codes of `mlxctl`."""

    DONE = 0
    REFUSED = 1
    """The daemon said no, or what was asked for did not happen."""
    USAGE = 2
    """Wrong arguments or configuration."""
    UNREACHABLE = 3
    """No daemon answers."""
    INTERRUPTED = 130


class Failure(Exception):
    """End the command with a sentence and an exit code."""

    exit_code = Exit.REFUSED

    def __init__(self, sentence: str, *, code: str = "failed") -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.code = code
        """Stable word for programs; the daemon's own error code where it is the daemon that said no."""


class Refused(Failure):
    """Say that the daemon answered with an error; carries its sentence and code."""

    def __init__(self, sentence: str, *, code: str, status: int) -> None:
        super().__init__(sentence, code=code)
        self.status = status


class Misused(Failure):
    """Say what is wrong with the arguments or the configuration."""

    exit_code = Exit.USAGE


class Unreachable(Failure):
    """Say where no daemon answers and how to start one."""

    exit_code = Exit.UNREACHABLE

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence, code="unreachable")
