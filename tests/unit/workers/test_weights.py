"""Weights are read in portions, and only reading counts as progress."""

import json
import threading
import weakref
from pathlib import Path

import mlx.core as mx
import pytest
from mlx.nn.layers.base import Module
from mlx.nn.layers.linear import Linear

from mlxd.protocol.errors import ModelLoadFailed
from mlxd.workers import disk_reads, weights


class Small(Module):
    """Have a parameter, a buffer outside the parameters, and one array in two places."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.layers = [Linear(8, 8, bias=False) for _ in range(3)]
        self._frequencies = mx.arange(5)
        self.tied = self.layers[0].weight


def test_every_array_counts_once_buffers_included() -> None:
    arrays = weights.arrays_of(Small())
    assert sum(array.size for array in arrays) == 3 * 64 + 5


def test_reading_reports_from_nothing_to_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "PORTION", 1)
    monkeypatch.setattr(weights, "REPORT_SECONDS", 0)
    reports: list[tuple[int, int]] = []
    size = weights.read(Small(), lambda done, total: reports.append((done, total)), lambda: False)
    assert size == 3 * 64 * 4 + 5 * 4
    assert reports[0] == (0, size) and reports[-1] == (size, size)
    assert [done for done, _ in reports] == sorted(done for done, _ in reports)
    assert len(reports) > 4


def saved(folder: Path, *names: str) -> str:
    """Write a file of small arrays; return its name."""
    file = str(folder / "model.safetensors")
    mx.save_safetensors(file, {name: mx.full((8,), 1.0) for name in names})
    return file


def test_files_are_in_memory_before_anything_is_computed_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Metal's watchdog ends a process whose GPU waits for a slow disk (mlx#3803): no work may be given to it before.

    What an array is made of is read; what is left out is gone as soon as it was read.
    """
    monkeypatch.setattr(weights, "PORTION", 1)
    file = saved(tmp_path, "one", "two", "plain", "dropped")
    with weights.recorded() as files:
        loaded = mx.load(file)
        assert isinstance(loaded, dict)
        model = {"joined": mx.stack([loaded["one"], loaded["two"]]), "plain": loaded["plain"]}
    names = {id(array): name for name, array in {**loaded, **model}.items()}
    dropped = weakref.ref(loaded["dropped"])
    del loaded
    begun: list[str] = []
    begin = mx.async_eval

    def noted(arrays: list[mx.array]) -> None:
        begun.extend(names[id(array)] for array in arrays)
        begin(arrays)  # type: ignore[no-untyped-call]

    monkeypatch.setattr(mx, "async_eval", noted)
    reports: list[tuple[int, int]] = []
    size = weights.read(
        model, lambda done, total: reports.append((done, total)), lambda: False, files
    )
    assert set(begun[:3]) == {"one", "two", "dropped"} and set(begun[3:]) == {"joined", "plain"}
    assert size == (2 + 1) * 32 and reports[-1] == (size + 3 * 32, size + 3 * 32)
    assert not files and dropped() is None
    assert model["joined"].tolist() == [[1.0] * 8] * 2


def test_only_what_is_loaded_meanwhile_is_recorded(tmp_path: Path) -> None:
    file, before = saved(tmp_path, "one"), mx.load
    with pytest.raises(OSError), weights.recorded() as files:
        mx.load(file, return_metadata=True)
        raise OSError
    mx.load(file)
    assert len(files) == 1 and mx.load is before


def test_a_load_gives_up_when_the_worker_is_to_leave() -> None:
    with pytest.raises(weights.LoadStopped):
        weights.read(Small(), lambda done, total: None, lambda: True)


def test_while_one_large_array_is_read_only_what_the_system_reads_is_progress(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Promise C5: a slow disk is no stall, and a dead one is."""
    blocks, looked = [0], threading.Semaphore(0)

    def read_so_far() -> int:
        looked.release()
        return blocks[0]

    monkeypatch.setattr(disk_reads, "counted", read_so_far)
    monkeypatch.setattr(weights, "WITNESS_SECONDS", 0.01)
    reports: list[tuple[int, int]] = []
    heard = threading.Event()

    def report(done: int, total: int) -> None:
        reports.append((done, total))
        if len(reports) > 1:
            heard.set()

    with weights.Progress(100, report):
        for _ in range(4):
            assert looked.acquire(timeout=60)
        assert reports == [(0, 100)]
        blocks[0] = 8
        assert heard.wait(60)
    assert reports == [(0, 100), (0, 100)]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (None, "no readable config.json"),
        ("{", "not valid JSON"),
        ("[]", "expected an object"),
        (json.dumps({"model_file": "own.py"}), "own.py"),
    ],
)
def test_a_folder_without_a_plain_model_is_refused(
    tmp_path: Path, content: str | None, complaint: str
) -> None:
    if content is not None:
        (tmp_path / "config.json").write_text(content)
    with pytest.raises(ModelLoadFailed, match=complaint):
        weights.refuse_code(tmp_path)


def test_a_model_file_is_taken_where_the_user_trusts_it(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_file": "m.py"}')
    assert weights.refuse_code(tmp_path, trusted=True) == {"model_file": "m.py"}


@pytest.mark.parametrize(
    "name", ["config.json", "tokenizer_config.json", "processor_config.json", "preprocessor_config.json"]
)  # fmt: skip
def test_classes_of_the_folders_own_are_refused_wherever_they_are_named(
    name: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_text('{"auto_map": {}}')
    weights.refuse_auto_map(tmp_path)
    (tmp_path / name).write_text('{"auto_map": {"AutoProcessor": "code.Processor"}}')
    with pytest.raises(ModelLoadFailed, match=f"{name}: auto_map .*trust_remote_code"):
        weights.refuse_auto_map(tmp_path)
