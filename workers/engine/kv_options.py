"""Have a model of mlx-lm keep what it reads in less memory, as its entry says; before its first cache is made."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from mlx_lm.models.cache import CacheList, KVCache, QuantizedKVCache, RotatingKVCache

from mlxd.protocol.errors import ModelLoadFailed
from mlxd.protocol.generation import KvCache
from mlxd.workers import limits
from mlxd.workers.engine.anchored import AnchoredKVCache


def apply(model: Any, options: KvCache) -> None:
    """Change the caches that are made for the model; raises ModelLoadFailed where none of them can be.

    Layers that keep a window of their own, or a state of fixed size, keep it.
    """
    make: Callable[[], list[Any]] = getattr(
        model, "make_cache", lambda: [KVCache() for _ in model.layers]
    )

    def changed() -> list[Any]:
        return [_changed(entry, options) for entry in make()]

    if not any(map(_is_plain, make())):
        raise ModelLoadFailed(
            f"kv_cache: no layer of this model keeps keys and values that could be {options}"
        )
    model.make_cache = changed


@contextmanager
def named(options: KvCache | None) -> Iterator[None]:
    """Name the option in what goes wrong because of it."""
    try:
        yield
    except Exception as error:
        known = limits.is_out_of_memory(error) or limits.is_device_error(error)
        if options is None or known or str(error).startswith("kv_cache: "):
            raise
        raise ModelLoadFailed(f"kv_cache: this model cannot keep {options}: {error}") from error


def _is_plain(entry: Any) -> bool:
    if isinstance(entry, CacheList):
        return any(map(_is_plain, entry.caches))
    return type(entry) is KVCache


def _changed(entry: Any, options: KvCache) -> Any:
    if isinstance(entry, CacheList):
        return CacheList(*(_changed(inner, options) for inner in entry.caches))
    if type(entry) is not KVCache:
        return entry
    if options.bits:
        return QuantizedKVCache(group_size=options.group_size or 64, bits=options.bits)
    if options.keep:
        return AnchoredKVCache(max_size=options.max_tokens, keep=options.keep)
    return RotatingKVCache(max_size=options.max_tokens)
