"""Read from the kernel what processes take and what the machine has.

One of the few files that make calls which only macOS answers.
"""

import ctypes
import functools
import os
import sys
from pathlib import Path

import psutil

from mlxd.supervisor.budget import gpu
from mlxd.supervisor.pressure.relief import Level, level_of_stall


def footprint(pid: int) -> int:
    """Return the bytes a process costs the machine, 0 where it is gone.

    That is phys_footprint on macOS (what Activity Monitor shows, Metal buffers included), and on Linux PSS, which
    counts a page that several processes share once.
    """
    return _macos_footprint(pid) if sys.platform == "darwin" else _linux_footprint(pid)


def total_bytes() -> int:
    """Return the bytes of memory the machine has."""
    return psutil.virtual_memory().total


def gpu_bytes() -> int:
    """Return the bytes that the GPU may use, all processes together, as Metal recommends; without Metal, all memory.

    That is `iogpu.wired_limit_mb` where someone set it, else what Metal says, else the least share that macOS gives.
    """
    total = total_bytes()
    if sys.platform != "darwin":
        return total
    limit = _sysctl("iogpu.wired_limit_mb")
    return min(limit << 20, total) if limit else gpu_limit(_recommended_bytes(), total)


@functools.cache
def _recommended_bytes() -> int | None:
    return gpu.recommended_bytes()


def gpu_limit(recommended: int | None, total: int) -> int:
    """Return what the GPU may use by Metal's word, where that can be."""
    return recommended if recommended and recommended <= total else gpu_share(total)


def gpu_share(total: int) -> int:
    """Return what the GPU of a Mac with so much memory may use at least; later systems give up to an eighth more."""
    return total * 2 // 3 if total < 36 << 30 else total * 3 // 4


def available_bytes() -> int:
    """Return the bytes that could be handed out now without swapping.

    psutil takes what is inactive on a Mac for that. A file that was read twice is not, such as a model's weights, and
    its pages are given away as readily (psutil#1277).
    """
    available = psutil.virtual_memory().available
    pages = _macos_pages() if sys.platform == "darwin" else None
    return (
        max(available, reclaimable_pages(pages) * os.sysconf("SC_PAGESIZE")) if pages else available
    )


def reclaimable_pages(pages: "_VmStatistics") -> int:
    """Return how many pages are free or hold only what can be read or made again: files, and what is purgeable."""
    # Pages read ahead are counted as free and as a file's.
    return int(pages.free - pages.speculative + pages.external + pages.purgeable)


def peak_footprint(pid: int) -> int:
    """Return the most bytes a process ever cost, 0 where it is gone; on Linux from RSS, the peak of PSS is unknown."""
    if sys.platform == "darwin":
        usage = _macos_usage(pid)
        return int(usage.lifetime_max_phys_footprint) if usage else 0
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    sizes = dict(line.split(":", 1) for line in status.splitlines())
    if "VmHWM" not in sizes:
        return 0  # a zombie
    above = int(sizes["VmHWM"].split()[0]) - int(sizes["VmRSS"].split()[0])
    return footprint(pid) + max(0, above) * 1024


def pressure() -> Level:
    """Return how short of memory the machine is; normal where the kernel does not say."""
    if sys.platform == "darwin":
        level = _sysctl("kern.memorystatus_vm_pressure_level")
        return Level(level) if level in set(Level) else Level.NORMAL
    try:
        return level_of_stall(Path("/proc/pressure/memory").read_text())
    except OSError:
        return Level.NORMAL


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
    """Mirror `rusage_info_v4` of <sys/resource.h>."""

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
        ("of_children_disk_and_quality_of_service", ctypes.c_uint64 * 17),
        ("logical_writes", ctypes.c_uint64),
        ("lifetime_max_phys_footprint", ctypes.c_uint64),
        ("instructions_energy_and_rest", ctypes.c_uint64 * 6),
    ]


class _VmStatistics(ctypes.Structure):
    """Mirror `vm_statistics64` of <mach/vm_statistics.h>, up to what the oldest macOS of ours fills."""

    _fields_ = [
        ("free", ctypes.c_uint32),
        ("active", ctypes.c_uint32),
        ("inactive", ctypes.c_uint32),
        ("wired", ctypes.c_uint32),
        ("faults_and_rest", ctypes.c_uint64 * 9),
        ("purgeable", ctypes.c_uint32),
        ("speculative", ctypes.c_uint32),
        ("of_compressor_and_swap", ctypes.c_uint64 * 4),
        ("compressor", ctypes.c_uint32),
        ("throttled", ctypes.c_uint32),
        ("external", ctypes.c_uint32),
        ("internal", ctypes.c_uint32),
        ("uncompressed", ctypes.c_uint64),
    ]


_HOST_VM_INFO64 = 4
_RUSAGE_INFO_V4 = 4


@functools.cache
def _libproc() -> ctypes.CDLL:
    library = ctypes.CDLL("/usr/lib/libproc.dylib")
    library.proc_pid_rusage.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_void_p]
    return library


@functools.cache
def _host() -> int:
    """Return the port that asks the kernel; each call of mach_host_self() would count as one more holder."""
    return int(ctypes.CDLL(None).mach_host_self())


def _macos_pages() -> _VmStatistics | None:
    pages = _VmStatistics()
    words = ctypes.c_uint32(ctypes.sizeof(pages) // 4)
    failed = ctypes.CDLL(None).host_statistics64(
        ctypes.c_uint32(_host()), _HOST_VM_INFO64, ctypes.byref(pages), ctypes.byref(words)
    )
    return None if failed else pages


def _macos_footprint(pid: int) -> int:
    usage = _macos_usage(pid)
    return int(usage.phys_footprint) if usage else 0


def _macos_usage(pid: int) -> _ResourceUsage | None:
    usage = _ResourceUsage()
    failed = _libproc().proc_pid_rusage(pid, _RUSAGE_INFO_V4, ctypes.byref(usage))
    return None if failed else usage


def _sysctl(name: str) -> int | None:
    """Return an integer of the kernel's, None where it has none of this name."""
    value = ctypes.c_int64(0)
    size = ctypes.c_size_t(ctypes.sizeof(value))
    library = ctypes.CDLL(None)
    failed = library.sysctlbyname(
        name.encode(), ctypes.byref(value), ctypes.byref(size), None, ctypes.c_size_t(0)
    )
    return None if failed else int(value.value)
