"""Limits come from the spec and the device, are clamped, and errors are told apart."""

import importlib
from collections.abc import Iterator
from typing import Any

import mlx.core as mx
import pytest
from mlx.nn.layers.linear import Linear

from mlxd.protocol.exit_codes import ExitCode
from mlxd.protocol.kinds import ModelKind
from mlxd.protocol.spec import WorkerSpec
from mlxd.workers import limits


@pytest.fixture(autouse=True)
def unchanged_limits() -> Iterator[None]:
    memory = mx.get_memory_limit()
    cache = mx.set_cache_limit(0)
    mx.set_cache_limit(cache)
    yield
    mx.set_memory_limit(memory)
    mx.set_cache_limit(cache)


def spec(**changes: int) -> WorkerSpec:
    return WorkerSpec(model_id="m", kind=ModelKind.TEXT, path="/m", socket="/s", **changes)  # type: ignore[arg-type]


def test_what_the_spec_grants_is_in_force() -> None:
    """Promise B4."""
    granted = limits.grant(spec(memory_limit=1 << 30, cache_limit=1 << 20))
    assert granted == limits.Granted(1 << 30, 1 << 20, 0)
    assert mx.get_memory_limit() == 1 << 30
    assert mx.set_cache_limit(0) == 1 << 20


def test_without_a_grant_the_device_decides_and_the_cache_gets_a_tenth() -> None:
    """Promise A9."""
    most = mx.get_memory_limit()
    granted = limits.grant(spec())
    assert granted.memory == most and granted.cache == int(most * 0.1) and granted.wired == 0


def test_more_than_the_device_has_is_a_warning_and_not_a_crash(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Promise B3."""
    granted = limits.grant(spec(memory_limit=1 << 60, wired_limit=1 << 60))
    assert granted.memory < 1 << 60 and granted.wired < 1 << 60
    assert "memory_limit=" in caplog.text and "wired_limit=" in caplog.text


@pytest.mark.parametrize(
    ("message", "device", "memory"),
    [
        ("[METAL] Command buffer execution failed: Caused GPU Hang Error", True, False),
        ("[METAL] Command buffer execution failed: Insufficient Memory", True, True),
        ("[metal::malloc] Resource limit (499000) exceeded.", True, True),
        (
            "[metal::malloc] Attempting to allocate 9 bytes which is greater than allowed",
            False,
            True,
        ),
        ("[malloc] Unable to allocate 100 bytes.", False, True),
        ("shapes (1,2) and (3,4) cannot be broadcast", False, False),
    ],
)
def test_errors_of_the_device_and_of_memory_are_told_apart(
    message: str, device: bool, memory: bool
) -> None:
    error = RuntimeError(message)
    assert (limits.is_device_error(error), limits.is_out_of_memory(error)) == (device, memory)


def test_running_out_of_buffers_is_explained(caplog: pytest.LogCaptureFixture) -> None:
    """Promise B6."""
    limits.is_device_error(RuntimeError("[metal::malloc] Resource limit (499000) exceeded."))
    assert "buffer count, not bytes" in caplog.text


@pytest.fixture
def wired(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Be a machine with Metal; return what becomes of its wired limit."""
    found: list[int] = []
    monkeypatch.setattr(mx, "set_wired_limit", found.append)
    monkeypatch.setattr(mx.metal, "is_available", lambda: True)
    device = {"max_recommended_working_set_size": 1 << 34}
    monkeypatch.setattr(mx, "device_info", lambda *_: device)
    monkeypatch.setattr(mx.metal, "device_info", lambda: device)
    return found


@pytest.mark.parametrize(
    "library",
    ["mlx_lm.generate", "mlx_audio.lm.generate", "mlx_audio.stt.utils", "mlx_vlm.generate.common"],
)
def test_no_library_wires_memory_once_it_is_forbidden(library: str, wired: list[int]) -> None:
    """Promise B1. Regression: voices that are language models did, by a function of mlx-audio's own."""
    module: Any = importlib.import_module(library)
    with module.wired_limit(Linear(1, 1)):
        assert max(wired) == 1 << 34, "this test is out of date"
    wired.clear()
    limits.forbid_wiring()
    with module.wired_limit(Linear(1, 1)):
        pass
    assert not wired


def test_what_is_granted_may_be_wired_although_libraries_must_not(
    wired: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def ours(limit: int) -> int:
        wired.append(limit)
        return 7

    monkeypatch.setattr(limits, "_set_wired_limit", ours)
    limits.forbid_wiring()
    assert limits.wire(1 << 30) == 7
    assert wired == [1 << 30]


def test_a_lost_device_does_not_keep_the_rest_from_being_given_back(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Metal has several command buffers under way: each that fails raises once, the next time MLX looks."""

    def lost() -> None:
        raise RuntimeError(
            "[METAL] Command buffer execution failed: Discarded (victim of GPU error)"
        )

    cleared: list[None] = []
    monkeypatch.setattr(mx, "synchronize", lost)
    monkeypatch.setattr(mx, "clear_cache", lambda: cleared.append(None))
    limits.release(ExitCode.POISONED)
    assert cleared and "victim of GPU error" in caplog.text
