"""Code in a model's folder runs only where the user trusts that model by name."""

import json
from pathlib import Path

import pytest
from support import tiny_models

from mlxd.protocol.errors import ModelLoadFailed
from mlxd.protocol.kinds import ModelKind
from mlxd.protocol.spec import WorkerSpec
from mlxd.workers.kinds import vision

CODE = """
from pathlib import Path
Path(__file__).with_name("ran").touch()
raise RuntimeError("code of the folder ran")
"""


def folder_with(tmp_path: Path, file: str, **added: object) -> Path:
    """Return a folder whose JSON file names code that leaves a trace."""
    folder = tiny_models.copy("qwen2_vl", tmp_path / "model")
    content = json.loads((folder / file).read_text())
    (folder / file).write_text(json.dumps({**content, **added}))
    (folder / "code.py").write_text(CODE)
    return folder


def spec(folder: Path, *, trusted: bool) -> WorkerSpec:
    return WorkerSpec(
        model_id="m", kind=ModelKind.VISION, path=str(folder), socket="", trust_remote_code=trusted
    )


@pytest.mark.parametrize("file", ["tokenizer_config.json", "preprocessor_config.json"])
def test_processors_of_the_folders_own_do_not_run(tmp_path: Path, file: str) -> None:
    added = {"auto_map": {"AutoTokenizer": ["code.T", None], "AutoProcessor": "code.P"}}
    folder = folder_with(tmp_path, file, **added)
    with pytest.raises(ModelLoadFailed, match="auto_map"):
        vision.counting_eyes(folder, spec(folder, trusted=False))
    assert not list(folder.rglob("ran"))


def test_a_model_of_the_folders_own_runs_only_where_it_is_trusted(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, "config.json", model_file="code.py")
    with pytest.raises(ModelLoadFailed, match="code of the folder ran"):
        vision.build(folder, spec(folder, trusted=True))
    assert (folder / "ran").exists()
