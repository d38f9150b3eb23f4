"""An entry says how its model keeps what it has read, and what contradicts itself is named."""

from pathlib import Path

import pytest
from support.model_folders import text_files, write

from mlxd.config.catalog import Catalog
from mlxd.config.hub_cache import HubCache
from mlxd.config.load import load
from mlxd.config.spec import ModelSpec


def declared(root: Path, options: str) -> ModelSpec:
    """Return a model with these options of its cache and a window of 512 tokens."""
    write(root / "a", text_files())
    file = root / "config.yaml"
    entry = f"{{id: a, source: ./a, context_length: 512, kv_cache: {options}}}"
    file.write_text(f"models: [{entry}]\ndemo: false")
    (spec,) = Catalog(load(file, {}), HubCache(root / "hub")).models()
    return spec


@pytest.mark.parametrize(
    ("options", "text", "kept"),
    [
        ("{}", None, 512),
        ("{bits: 8}", "8 bits in groups of 64", 512),
        ("{max_tokens: 64}", "the last 64 tokens and the first 4", 64),
        ("{max_tokens: 64, keep: 0}", "the last 64 tokens", 512),
        ("{max_tokens: 4096}", "the last 4096 tokens and the first 4", 512),
    ],
)
def test_an_entry_says_how_the_cache_is_kept(
    tmp_path: Path, options: str, text: str | None, kept: int
) -> None:
    spec = declared(tmp_path, options)
    assert spec.error is None
    assert (str(spec.kv_cache) if spec.kv_cache else None) == text
    assert spec.kept_length == kept


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ("{bits: 8, max_tokens: 64}", "cannot be had together"),
        ("{group_size: 64}", "kv_cache.group_size: expected kv_cache.bits beside it"),
        ("{keep: 4}", "kv_cache.keep: expected kv_cache.max_tokens beside it"),
        ("{max_tokens: 16, keep: 16}", "kv_cache.keep: expected less than max_tokens, got 16"),
    ],
)
def test_options_of_the_cache_that_contradict_each_other_are_named(
    tmp_path: Path, options: str, problem: str
) -> None:
    spec = declared(tmp_path, options)
    assert spec.error is not None and problem in spec.error
