"""Read from the kernel what processes take and what the machine has.

One of the few files that make calls which only macOS answers.
"""

import ctypes
import functools
import sys
from pathlib import Path

import psutil


def footprint(pid: int) -> int:
    """Return the bytes a process costs the machine, 0 where it is gone.

    That is phys_footprint on macOS (what Activity Monitor shows, Metal buffers included), and on Linux PSS, which
    counts a page that several processes share once.
    """
    return _macos_footprint(pid) if sys.platform == "darwin" else _linux_footprint(pid)


def total_bytes() -> int:
    """Return the bytes of memory the machine has."""
    return psutil.virtual_memory().total


def available_bytes() -> int:
    """Return the bytes that could be handed out now without swapping."""
    return psutil.virtual_memory().available


def _linux_footprint(pid: int) -> int:
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    for line in rollup.splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0


class _ResourceUsage(ctypes.Structure):
    """Mirror `rusage_info_v0` of <sys/resource.h>."""

    _fields_ = [
        ("uuid", ctypes.c_uint8 * 16),
        ("user_time", ctypes.c_uint64),
        ("system_time", ctypes.c_uint64),
        ("package_idle_wakeups", ctypes.c_uint64),
        ("interrupt_wakeups", ctypes.c_uint64),
        ("page_ins", ctypes.c_uint64),
        ("wired_size", ctypes.c_uint64),
        ("resident_size", ctypes.c_uint64),
        ("phys_footprint", ctypes.c_uint64),
        ("start_time", ctypes.c_uint64),
        ("exit_time", ctypes.c_uint64),
    ]


_RUSAGE_INFO_V0 = 0


@functools.cache
def _libproc() -> ctypes.CDLL:
    library = ctypes.CDLL("/usr/lib/libproc.dylib")
    library.proc_pid_rusage.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_void_p]
    return library


def _macos_footprint(pid: int) -> int:
    usage = _ResourceUsage()
    failed = _libproc().proc_pid_rusage(pid, _RUSAGE_INFO_V0, ctypes.byref(usage))
    return 0 if failed else int(usage.phys_footprint)
