"""Describe one model as `/v1/models` does. Pure."""

import msgspec

from mlxd.config.spec import ModelSpec
from mlxd.protocol.lifecycle import WorkerState

_LONGEST = 100
"""Characters of a system prompt that tell it from others."""


def entry(spec: ModelSpec, state: WorkerState, last_used_at: float | None) -> dict[str, object]:
    """Return what is told of a model: what every model has, then what its entry sets, then why it cannot be served."""
    told: dict[str, object] = {
        "id": spec.id,
        "object": "model",
        "created": spec.created,
        "owned_by": spec.id.partition("/")[0] if "/" in spec.id else "mlxd",
        "kind": spec.kind,
        "state": state,
        "last_used_at": last_used_at,
        "context_length": spec.context_length,
        "aliases": spec.aliases,
        "architecture": spec.architecture,
        "weights_bytes": spec.weights_bytes,
        "source": spec.source,
    }
    told |= _set_by_its_entry(spec)
    return told if spec.error is None else {**told, "error": spec.error}


def _set_by_its_entry(spec: ModelSpec) -> dict[str, object]:
    """Return only what makes the model answer otherwise than it would by itself."""
    told: dict[str, object] = {}
    if spec.kv_cache is not None:
        told |= {"kv_cache": str(spec.kv_cache), "disabled": spec.kv_cache.disables()}
    if spec.overflow != "error":
        told["overflow"] = spec.overflow
    if sampling := msgspec.to_builtins(spec.sampling):
        told["sampling"] = sampling
    if spec.system_prompt:
        told["system_prompt"] = beginning(spec.system_prompt)
    if spec.draft_model is not None:
        told["draft_model"] = spec.draft_name or spec.draft_model.name
    if spec.prompt_lookup:
        told["prompt_lookup"] = spec.prompt_lookup
    return told


def beginning(text: str) -> str:
    """Return the first line that says something, with a mark where there is more."""
    lines = text.strip().splitlines()
    first = lines[0].rstrip() if lines else ""
    is_whole = len(lines) <= 1 and len(first) <= _LONGEST
    return first if is_whole else f"{first[: _LONGEST - 1].rstrip()}…"
