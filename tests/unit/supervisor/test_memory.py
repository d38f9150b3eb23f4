"""Footprints come from the kernel, at the moment of asking."""

import mmap
import os
import subprocess
import sys

from mlxd.supervisor.budget import memory


def test_a_process_costs_what_it_has_touched() -> None:
    before = memory.footprint(os.getpid())
    with mmap.mmap(-1, 64 << 20) as block:
        for offset in range(0, len(block), 4096):
            block[offset] = 1
        grown = memory.footprint(os.getpid()) - before
    assert 60e6 < grown < 80e6
    assert before > 1e6


def test_a_process_that_is_gone_costs_nothing() -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    assert memory.footprint(child.pid) == 0


def test_the_machine_has_more_than_it_has_left() -> None:
    assert 0 < memory.available_bytes() < memory.total_bytes()
