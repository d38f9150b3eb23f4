"""Open a text model's prompt cache, in memory and on disk."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mlxd.protocol.spec import WorkerSpec
from mlxd.workers.engine.reuse import Reuse
from mlxd.workers.prompt_cache import caches
from mlxd.workers.prompt_cache.disk_folder import claim
from mlxd.workers.prompt_cache.disk_tier import DiskTier
from mlxd.workers.prompt_cache.fingerprint import fingerprint
from mlxd.workers.prompt_cache.tiers import PromptCache

log = logging.getLogger(__name__)


def open(spec: WorkerSpec, empty: Sequence[Any], limit: int) -> Reuse | None:
    """Return the model's prompt cache of so many bytes in memory, None where it has none.

    `empty` is a row's cache before its first token. A disk that cannot be used is no reason to go without memory.
    """
    if not limit:
        return None
    cache = PromptCache(limit, _disk(spec))
    return Reuse(cache, caches.trim_limit(empty), wanted=spec.prompt_cache_memory)


def _disk(spec: WorkerSpec) -> DiskTier | None:
    if spec.prompt_cache_folder is None or not spec.prompt_cache_disk:
        return None
    adapter = Path(spec.adapter) if spec.adapter else None
    try:
        extra = [spec.chat_template or "", *([str(spec.kv_cache)] if spec.kv_cache else [])]
        name = fingerprint(Path(spec.path), adapter=adapter, extra=extra)
        folder = claim(Path(spec.prompt_cache_folder), spec.model_id, name)
        return DiskTier(folder, name, spec.prompt_cache_disk)
    except OSError as error:
        log.warning("prompt cache: nothing is kept on disk: %s", error)
        return None
