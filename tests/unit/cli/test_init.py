"""`mlxctl init` writes a file that explains everything and changes nothing."""

import json
import re
from pathlib import Path

import yaml
from support.ctl import Ctl

from mlxd.config.load import DEFAULTS, load
from mlxd.supervisor.cli import config_file


def test_the_file_is_valid_and_means_the_defaults(ctl: Ctl, alone: Path) -> None:
    done = ctl("init")
    path = alone / "config.yaml"
    assert done.stdout == f"wrote {path}; it counts from the next start of mlxd\n"
    assert load(path, {}) == load(None, {"MLXD_HOME": str(alone / "nowhere")})


def test_a_file_that_is_there_stays_unless_forced(ctl: Ctl, tmp_path: Path) -> None:
    path = tmp_path / "deep" / "mine.yaml"
    assert ctl("init", "--config", str(path)).exit_code == 0
    path.write_text("demo: false\n")
    done = ctl("init", "--config", str(path))
    assert (done.stderr, done.exit_code) == (f"mlxctl: {path} exists; --force replaces it\n", 2)
    assert path.read_text() == "demo: false\n"
    done = ctl("init", "--config", str(path), "--force", "--json")
    assert json.loads(done.stdout) == {"config": str(path)}
    assert path.read_text() != "demo: false\n"


def test_taking_away_the_marks_gives_the_settings_they_show() -> None:
    shown = config_file.text()
    uncommented = re.sub(r"^( *)#(?=[a-z-])", r"\1", shown, flags=re.MULTILINE)
    written = yaml.safe_load(uncommented)
    models = written.pop("models")
    assert written | {"models": []} == yaml.safe_load(DEFAULTS.read_text())
    assert [model["id"] for model in models] == ["qwen3-8b"]
