"""Footprints come from the kernel, at the moment of asking."""

import ctypes
import mmap
import os
import subprocess
import sys
from typing import Any

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


def test_the_kernel_of_a_mac_counts_its_pages_in_the_record_that_is_handed_to_it() -> None:
    """The layout of vm_statistics64 in Apple's <mach/vm_statistics.h>; HOST_VM_INFO64_COUNT is 38 words."""
    fields = memory._VmStatistics
    assert ctypes.sizeof(fields) == 38 * 4
    places = {
        "purgeable": 88,
        "speculative": 92,
        "compressor": 128,
        "external": 136,
        "internal": 140,
    }
    assert {name: getattr(fields, name).offset for name in places} == places


def test_weights_that_were_read_twice_can_be_handed_out_on_a_mac() -> None:
    """Pages of 16 KiB: 48 GB, of them 20 GB of files that are in use, as `vm_stat` would tell it."""
    gb = (1 << 30) // 16384
    pages = memory._VmStatistics(
        free=5 * gb,
        speculative=1 * gb,
        active=30 * gb,
        inactive=6 * gb,
        external=22 * gb,
        purgeable=gb // 2,
    )
    assert memory.reclaimable_pages(pages) == 26 * gb + gb // 2
    assert memory.reclaimable_pages(pages) > pages.free + pages.inactive


class Library:
    """Answer as macOS does, and hold whoever asks to what it expects."""

    def mach_host_self(self) -> int:
        """Return the port of the host."""
        return 7

    def host_statistics64(self, host: ctypes.c_uint32, flavor: int, info: Any, words: Any) -> int:
        """Fill the record."""
        assert (host.value, flavor, words._obj.value) == (7, 4, 38)
        info._obj.external = 11
        return 0


def test_the_kernel_of_a_mac_is_asked_for_its_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    memory._host.cache_clear()
    monkeypatch.setattr(ctypes, "CDLL", lambda name: Library())
    pages = memory._macos_pages()
    assert pages is not None and memory.reclaimable_pages(pages) == 11
    memory._host.cache_clear()
