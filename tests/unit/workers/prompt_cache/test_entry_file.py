"""The file of one state."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import mlx.core as mx
import pytest
from support import states

from mlxd.workers.prompt_cache import caches, entry_file
from mlxd.workers.prompt_cache.entry_file import Damaged
from mlxd.workers.prompt_cache.eviction_order import Kind
from mlxd.workers.prompt_cache.packing import pack
from mlxd.workers.prompt_cache.snapshot import Snapshot
from mlxd.workers.prompt_cache.stepwise import Stepwise

Make = Callable[[Sequence[int]], list[Any]]
every_kind = pytest.mark.parametrize(
    "make", [states.attention, states.hybrid, states.sliding, states.recurrent]
)
TOKENS = list(range(20))


def written(path: Path, make: Make = states.hybrid, tokens: Sequence[int] = TOKENS) -> bytes:
    state = Snapshot.take(pack(tokens), make(tokens), Kind.MESSAGE, "tenant")
    assert state is not None
    with path.open("wb") as file:
        for _ in entry_file.write(file, state, "model"):
            pass
    return path.read_bytes()


def read(path: Path) -> Snapshot:
    with path.open("rb") as file:
        work = Stepwise(entry_file.read(file))
        assert work.run(60)
    assert work.result is not None
    return work.result


@every_kind
def test_a_state_comes_back_as_it_was(make: Make, tmp_path: Path) -> None:
    written(tmp_path / "state", make)
    back = read(tmp_path / "state")
    assert (back.tokens, back.tenant, back.kind) == (pack(TOKENS), "tenant", Kind.MESSAGE)
    assert states.contents(caches.fold(back.shape, back.leaves)) == states.contents(make(TOKENS))
    state = Snapshot.take(pack(TOKENS), make(TOKENS), Kind.MESSAGE)
    assert state is not None and back.trimmable == state.trimmable


@pytest.mark.parametrize("dtype", [mx.float16, mx.bfloat16, mx.float32, mx.uint32, mx.bool_])
def test_every_number_type_comes_back_bit_for_bit(dtype: mx.Dtype, tmp_path: Path) -> None:
    cache = states.recurrent(TOKENS)
    cache[0][0] = mx.random.normal((1, 3, 5), key=mx.random.key(1)).astype(dtype)
    cache[0][1] = mx.zeros((1, 0, 4), dtype)
    written(tmp_path / "state", lambda tokens: cache)
    (leaf,) = read(tmp_path / "state").leaves
    assert leaf[0].dtype == dtype and mx.array_equal(leaf[0], cache[0][0])
    assert leaf[1].dtype == dtype and leaf[1].shape == (1, 0, 4)


def test_the_file_is_plain_safetensors(tmp_path: Path) -> None:
    path = tmp_path / "state.safetensors"
    written(path, states.attention)
    arrays: Any = mx.load(str(path))
    assert arrays["tokens"].tolist() == TOKENS
    assert arrays["0.0"][0, 0, :, 0].tolist() == TOKENS


def test_a_flipped_byte_is_never_believed_wherever_it_is(tmp_path: Path) -> None:
    path = tmp_path / "state"
    right = written(path, states.hybrid, TOKENS[:3])
    for at in range(len(right)):
        path.write_bytes(right[:at] + bytes([right[at] ^ 0x10]) + right[at + 1 :])
        with pytest.raises(Damaged):
            read(path)


def test_a_file_of_another_length_is_never_believed(tmp_path: Path) -> None:
    path = tmp_path / "state"
    right = written(path, states.hybrid, TOKENS[:3])
    for length in range(0, len(right), 7):
        path.write_bytes(right[:length])
        with pytest.raises(Damaged):
            read(path)
    path.write_bytes(right + b"\0")
    with pytest.raises(Damaged):
        read(path)


@pytest.mark.parametrize(
    "content",
    [b"", b"\x80\x04K\x01.", b"\xff" * 100, b"\0" * 4096, json.dumps({"a": 1}).encode() * 50],
)
def test_a_foreign_file_is_damaged(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "state").write_bytes(content)
    with pytest.raises(Damaged):
        read(tmp_path / "state")


def test_a_safetensors_file_of_someone_else_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "state.safetensors"
    mx.save_safetensors(str(path), {"tokens": mx.array([1, 2])}, {"digest": "00000000"})
    with pytest.raises(Damaged):
        read(path)


def test_a_large_state_is_written_and_read_in_pieces(tmp_path: Path) -> None:
    tokens = [1] * (3 * entry_file.CHUNK // (2 * states.WIDTH * 4))
    state = Snapshot.take(pack(tokens), states.attention(tokens), Kind.ROW)
    assert state is not None
    with (tmp_path / "state").open("wb") as file:
        assert sum(1 for _ in entry_file.write(file, state, "model")) >= 4
    with (tmp_path / "state").open("rb") as file:
        assert sum(1 for _ in entry_file.read(file)) >= 4
