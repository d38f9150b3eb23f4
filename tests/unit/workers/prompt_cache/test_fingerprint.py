"""When two models are one."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from mlxd.workers.prompt_cache.disk_folder import claim
from mlxd.workers.prompt_cache.fingerprint import fingerprint


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json", "README.md"):
        (folder / name).write_text(name)
    (folder / "model.safetensors").write_bytes(b"weights")
    return folder


def test_the_same_folder_has_the_same_name(model: Path) -> None:
    assert fingerprint(model) == fingerprint(model)


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / "config.json").write_text("{}"),
        lambda folder: (folder / "tokenizer.json").write_text("{}"),
        lambda folder: (folder / "chat_template.jinja").write_text("{}"),
        lambda folder: (folder / "model.safetensors").write_bytes(b"more weights"),
        lambda folder: os.utime(folder / "model.safetensors", (1, 1)),
        lambda folder: (folder / "model-2.safetensors").write_bytes(b""),
    ],
)
def test_whatever_changes_the_states_changes_the_name(
    model: Path, change: Callable[[Path], object]
) -> None:
    before = fingerprint(model)
    change(model)
    assert fingerprint(model) != before


def test_what_does_not_change_the_states_does_not_change_the_name(model: Path) -> None:
    before = fingerprint(model)
    (model / "README.md").write_text("other words")
    assert fingerprint(model) == before


def test_options_and_adapters_count(model: Path, tmp_path: Path) -> None:
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    (adapter / "adapters.safetensors").write_bytes(b"weights")
    names = {
        fingerprint(model),
        fingerprint(model, extra=["kv_bits=8"]),
        fingerprint(model, extra=["kv_bits=", "8"]),
        fingerprint(model, adapter=adapter),
    }
    assert len(names) == 4


def test_no_weight_is_read(model: Path) -> None:
    """A sparse terabyte would take hours to read."""
    os.truncate(model / "model.safetensors", 1 << 40)
    assert fingerprint(model)


def test_what_a_model_was_before_is_removed(tmp_path: Path) -> None:
    old = claim(tmp_path, "org/model", "old")
    old.mkdir(parents=True)
    other = claim(tmp_path, "org-model", "old")
    other.mkdir(parents=True)
    new = claim(tmp_path, "org/model", "new")
    new.mkdir(parents=True)
    assert not old.exists() and other.exists()
    assert claim(tmp_path, "org/model", "new") == new
    assert claim(tmp_path, "../..", "new").parent.parent == tmp_path
