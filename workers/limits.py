"""Set and read back what MLX may take of the machine; the one place in the workers that asks Metal."""

import functools
import logging
from dataclasses import dataclass, replace

import mlx.core as mx

from mlxd.protocol.exit_codes import ExitCode
from mlxd.protocol.spec import WorkerSpec

log = logging.getLogger(__name__)

CACHE_SHARE = 0.1
"""Part of the memory limit that freed buffers may keep where the spec says nothing."""

_DEVICE_ERRORS = ("[metal]", "command buffer", "resource limit", "[cuda]")
_MEMORY_ERRORS = (
    "malloc",
    "out of memory",
    "unable to allocate",
    "insufficient memory",
    "bad_alloc",
)


_set_wired_limit = mx.set_wired_limit
"""MLX's own, which `forbid_wiring` takes from everybody else."""


@dataclass(frozen=True, slots=True)
class Granted:
    """What was set, in bytes."""

    memory: int
    cache: int
    wired: int = 0


def grant(spec: WorkerSpec) -> Granted:
    """Set the limits of the spec, clamped to the device; a size the device does not have is logged, never fatal."""
    most = _most()
    memory = _clamp("memory_limit", spec.memory_limit if spec.memory_limit else most, most)
    cache = int(memory * CACHE_SHARE) if spec.cache_limit is None else spec.cache_limit
    wired = _clamp("wired_limit", spec.wired_limit, most)
    granted = replace(set_limits(memory, cache), wired=wired)
    wire(granted.wired)
    return granted


def set_limits(memory: int, cache: int) -> Granted:
    """Set what MLX may take, and keep of what is freed, clamped to the device."""
    most = _most()
    memory = _clamp("memory_limit", memory, most)
    granted = Granted(memory, _clamp("cache_limit", cache, memory))
    mx.set_memory_limit(granted.memory)
    mx.set_cache_limit(granted.cache)
    return granted


@functools.cache
def _most() -> int:
    """Return what the device recommends; elsewhere what MLX allowed before anybody set a limit."""
    device = mx.device_info()
    return int(device.get("max_recommended_working_set_size", 0)) or mx.get_memory_limit()


def _clamp(name: str, wanted: int, most: int) -> int:
    if 0 <= wanted <= most:
        return wanted
    log.warning("%s=%d is beyond what the device allows, using %d", name, wanted, most)
    return min(max(wanted, 0), most)


def wire(limit: int) -> int:
    """Set the wired limit and return the one that was in force; never while the device computes."""
    try:
        return int(_set_wired_limit(limit))
    except (RuntimeError, ValueError) as error:  # macOS before 15, or more than the device allows
        log.warning("wired_limit=%d was refused: %s", limit, error)
        return 0


def forbid_wiring() -> None:
    """Keep mlx-lm, mlx-vlm and mlx-audio from wiring all the memory the device recommends, as they do to generate.

    A wired limit above zero is what makes macOS panic under load (mlx#3186), and limits of processes add up.
    """
    setattr(mx, "set_wired_limit", lambda limit: 0)  # noqa: B010


def is_device_error(error: Exception) -> bool:
    """Tell whether the GPU itself failed; nothing computed after that in this process can be trusted."""
    text = str(error).lower()
    if "resource limit" in text:
        log.error("the device ran out of buffers: buffer count, not bytes")
    return any(mark in text for mark in _DEVICE_ERRORS)


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether memory ran out."""
    text = str(error).lower()
    return isinstance(error, MemoryError) or any(mark in text for mark in _MEMORY_ERRORS)


def release(code: ExitCode) -> None:
    """Give everything back that MLX holds, on the thread that used it."""
    try:
        mx.synchronize()
    except RuntimeError as error:
        # Metal has several command buffers under way; each that fails raises once (mlx/error.h), the last ones here.
        log.warning("what the device still had to do failed: %s", error)
    mx.clear_cache()
    wire(0)
    log.info(
        "freed active_bytes=%d cache_bytes=%d code=%s",
        mx.get_active_memory(),
        mx.get_cache_memory(),
        code.name,
    )
