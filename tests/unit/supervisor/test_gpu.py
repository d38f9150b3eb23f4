"""What the GPU may use is Metal's to say; a Mac that does not say it gets a safe share."""

import ast
import sys
from pathlib import Path

import pytest

from mlxd.supervisor.budget import gpu, memory

GB = 1 << 30


def python(folder: Path, script: str) -> str:
    """Write what is run instead of Python."""
    path = folder / "python"
    path.write_text(f'#!/bin/sh\necho "$@" > {folder}/words\n{script}\n')
    path.chmod(0o755)
    return str(path)


def test_metal_is_asked_by_a_process_of_its_own(tmp_path: Path) -> None:
    assert gpu.recommended_bytes(python(tmp_path, "echo 55662788608")) == 55662788608
    assert (tmp_path / "words").read_text().startswith("-I -S -c ")


@pytest.mark.parametrize(
    "script", ["echo 0", "echo", "echo None", "exit 1", "echo 1; exit 1", "kill -SEGV $$"]
)
def test_a_metal_that_does_not_answer_is_no_answer(tmp_path: Path, script: str) -> None:
    assert gpu.recommended_bytes(python(tmp_path, script)) is None


def test_a_python_that_cannot_be_run_is_no_answer(tmp_path: Path) -> None:
    assert gpu.recommended_bytes(str(tmp_path / "none")) is None


def test_what_is_asked_imports_nothing_but_ctypes() -> None:
    tree = ast.parse(gpu.ASK)
    names = [alias.name for n in ast.walk(tree) if isinstance(n, ast.Import) for alias in n.names]
    assert names == ["ctypes"]


@pytest.mark.skipif(sys.platform == "darwin", reason="there it is answered")
def test_without_metal_there_is_no_answer() -> None:
    assert gpu.recommended_bytes() is None


@pytest.mark.parametrize(
    ("recommended", "limit"),
    [(107 * GB, 107 * GB), (20 * GB, 20 * GB), (None, 96 * GB), (0, 96 * GB), (1 << 60, 96 * GB)],
)
def test_metals_word_counts_where_it_can_be_true(recommended: int | None, limit: int) -> None:
    assert memory.gpu_limit(recommended, 128 * GB) == limit
