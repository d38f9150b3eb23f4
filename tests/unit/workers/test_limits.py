"""Limits come from the spec and the device, are clamped, and errors are told apart."""

from collections.abc import Iterator

import mlx.core as mx
import pytest

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
