"""Make entries of `/v1/ps` and `/v1/models` as the daemon answers them."""

from typing import Any


def status(**changes: object) -> dict[str, Any]:
    """Return one entry of `/v1/ps`: a ready model, idle."""
    entry = {
        "id": "mlxd-demo",
        "kind": "text",
        "state": "ready",
        "pid": 4242,
        "memory_bytes": 85_200_000,
        "weights_bytes": 3_400_000,
        "active_requests": 0,
        "queued_requests": 0,
        "pinned": False,
        "loaded_at": None,
        "last_used_at": None,
        "expires_at": None,
        "generation_tokens_per_second": 0.0,
        "error": None,
        "retry_at": None,
        "quarantined": False,
    }
    return entry | changes


def entry(**changes: object) -> dict[str, Any]:
    """Return one entry of `/v1/models`: the demo model, not loaded."""
    entry = {
        "id": "mlxd-demo",
        "object": "model",
        "created": 1_700_000_000,
        "owned_by": "mlxd",
        "kind": "text",
        "state": "stopped",
        "last_used_at": None,
        "context_length": 2048,
        "aliases": ["demo"],
        "architecture": "qwen3",
        "weights_bytes": 3_400_000,
        "source": "embedded",
    }
    return entry | changes


def loaded(**changes: object) -> dict[str, Any]:
    """Return the answer to a load."""
    result = {
        "model": "mlxd-demo",
        "state": "ready",
        "pid": 4242,
        "already_loaded": False,
        "load_seconds": 1.94,
        "memory_bytes": 85_200_000,
    }
    return result | changes


def unloaded(**changes: object) -> dict[str, Any]:
    """Return the answer to an unload."""
    result = {
        "model": "mlxd-demo",
        "state": "stopped",
        "was_loaded": True,
        "pid": 4242,
        "pid_reaped": True,
        "exit_code": 0,
        "freed_bytes": 85_200_000,
    }
    return result | changes
