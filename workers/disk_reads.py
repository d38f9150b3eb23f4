"""Tell whether the system is reading from a disk for this process."""

import ctypes
import functools
import os
import resource
import sys

_RUSAGE_INFO_V2 = 2


class _ResourceUsage(ctypes.Structure):
    """Mirror `rusage_info_v2` of macOS's <sys/resource.h>."""

    _fields_ = [
        ("uuid", ctypes.c_uint8 * 16),
        ("times_wakeups_and_sizes", ctypes.c_uint64 * 10),
        ("of_children", ctypes.c_uint64 * 6),
        ("disk_bytes_read", ctypes.c_uint64),
        ("disk_bytes_written", ctypes.c_uint64),
    ]


def counted() -> int:
    """Return a number that grows while the system reads for this process.

    On macOS `ru_inblock` counts what goes through the buffer cache, which is no content of files: only bio_doread in
    XNU's bsd/vfs/vfs_bio.c adds to it.
    """
    if sys.platform == "darwin":
        return _macos_bytes()
    return resource.getrusage(resource.RUSAGE_SELF).ru_inblock


@functools.cache
def _libproc() -> ctypes.CDLL:
    library = ctypes.CDLL("/usr/lib/libproc.dylib")
    library.proc_pid_rusage.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_void_p]
    return library


def _macos_bytes() -> int:
    usage = _ResourceUsage()
    failed = _libproc().proc_pid_rusage(os.getpid(), _RUSAGE_INFO_V2, ctypes.byref(usage))
    return 0 if failed else int(usage.disk_bytes_read)
