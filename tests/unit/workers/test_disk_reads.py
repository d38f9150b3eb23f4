"""Reads from a disk are counted by what each system counts them with."""

import ctypes
import os
import resource
import sys
from typing import Any

import pytest

from mlxd.workers import disk_reads


def test_the_number_never_falls() -> None:
    before = disk_reads.counted()
    assert 0 <= before <= disk_reads.counted()


def test_what_macos_fills_in_is_laid_out_as_its_header_says() -> None:
    """<sys/resource.h>: a uuid of 16 bytes, 16 numbers, then the bytes read and written."""
    usage = disk_reads._ResourceUsage
    assert usage.disk_bytes_read.offset == 16 + 16 * 8
    assert ctypes.sizeof(usage) == 16 + 18 * 8


class Libproc:
    """Answer as macOS does."""

    def __init__(self, result: int) -> None:
        self._result = result

    def proc_pid_rusage(self, pid: int, flavor: int, into: Any) -> int:
        assert (pid, flavor) == (os.getpid(), 2)
        ctypes.memmove(into, bytes(16 + 16 * 8) + (4096).to_bytes(8, "little"), 16 + 17 * 8)
        return self._result


@pytest.mark.parametrize(("result", "found"), [(0, 4096), (-1, 0)])
def test_on_macos_the_kernel_is_asked_for_bytes_and_not_for_blocks(
    result: int, found: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Regression: `ru_inblock` stands still there while a file is read, and a slow disk looked like a dead one."""
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(disk_reads, "_libproc", lambda: Libproc(result))
    monkeypatch.setattr(resource, "getrusage", lambda who: pytest.fail("it counts no such reads"))
    assert disk_reads.counted() == found
