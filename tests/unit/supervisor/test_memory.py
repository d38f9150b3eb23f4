"""Footprints come from the kernel, at the moment of asking."""

import ctypes
import mmap
import os
import subprocess
import sys

import pytest

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


@pytest.mark.parametrize(
    ("total", "metal"),
    [(8, 5461), (16, 10922), (24, 16384), (32, 21845), (36, 27648), (64, 49152), (96, 73728)],
)
def test_the_gpu_of_a_mac_may_use_what_metal_recommends_there(total: int, metal: int) -> None:
    """recommendedMaxWorkingSetSize in MiB by GiB of memory, as ggml_metal_init prints it on macOS 14."""
    assert memory.gpu_share(total << 30) >> 20 == metal


@pytest.mark.parametrize(
    ("total", "metal"), [(16, 12713.12), (48, 40200.90), (64, 55662.79), (128, 115448.73)]
)
def test_it_is_never_more_than_a_later_system_recommends(total: int, metal: float) -> None:
    """The same in units of 10**6 bytes, as it is printed on macOS 15 and 26."""
    assert 0.85 * metal * 1e6 < memory.gpu_share(total << 30) < metal * 1e6


def test_the_kernel_of_a_mac_fills_the_record_that_is_handed_to_it() -> None:
    """The layout of rusage_info_v4 in Apple's <sys/resource.h>: a wrong one would show another number as memory."""
    fields = memory._ResourceUsage
    assert ctypes.sizeof(fields) == 16 + 35 * 8
    assert fields.phys_footprint.offset == 16 + 7 * 8
    assert fields.lifetime_max_phys_footprint.offset == 16 + 28 * 8
