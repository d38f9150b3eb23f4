"""What a folder of a model that draws holds is told by its weights, whatever else lies beside them."""

from pathlib import Path

import mlx.core as mx
import pytest

from mlxd.workers.drawing import layout


@pytest.mark.parametrize(("name", "has_encoder"), [("encoder.in", True), ("decoder.in", False)])
def test_what_macos_writes_beside_weights_on_other_disks_is_not_read(
    name: str, has_encoder: bool, tmp_path: Path
) -> None:
    """Attributes of files are kept in files of their own there, called ._NAME (SceneWorks#1333)."""
    (tmp_path / "vae").mkdir()
    mx.save_safetensors(str(tmp_path / "vae" / "model.safetensors"), {name: mx.zeros(1)})
    (tmp_path / "vae" / "._model.safetensors").write_bytes(b"\0\5\x16\7\0\2\0\0Mac OS X")
    assert layout.has_encoder(tmp_path) is has_encoder
