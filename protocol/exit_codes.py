"""Name the ways a worker process leaves."""

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit status of a worker; the supervisor turns it into an error in one place.

    Values start at 64 so that they are not taken for a shell's or a Python traceback's.
    """

    OK = 0
    BAD_SPEC = 64
    LOAD_FAILED = 65
    OUT_OF_MEMORY = 66
    POISONED = 67
    PARENT_GONE = 68
    MISSING_EXTRA = 69
