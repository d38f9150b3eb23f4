"""The programs that the README shows run as they stand there."""

import re
import subprocess
import sys
from pathlib import Path

from support.daemon import Daemon, Home
from support.source import ROOT

_SECTION = (ROOT / "README.md").read_text().partition("## From Python\n")[2].partition("\n## ")[0]
CLIENT, APP = re.findall(r"```python\n(.*?)```", _SECTION, re.DOTALL)


def run(program: str, folder: Path, env: dict[str, str]) -> str:
    """Run a program from a file, as its workers import it again, and return what it printed."""
    path = folder / "program.py"
    path.write_text(program)
    done = subprocess.run(
        [sys.executable, "-P", str(path)], capture_output=True, text=True, env=env, timeout=100
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_client_speaks_with_the_daemon_of_its_user(
    shared_daemon: Daemon, tmp_path: Path
) -> None:
    said = run(CLIENT, tmp_path, shared_daemon.place.environment())
    first, *_, last = said.splitlines()
    assert first.startswith("mlxd-demo ") and int(first.split()[1]) > 0
    assert "404 model_not_found" in said
    assert int(last) > 0


def test_the_app_serves_without_a_daemon_and_leaves_nothing(home: Home, tmp_path: Path) -> None:
    assert run(APP, tmp_path, home.environment()).strip()
    assert not list(home.run_dir.rglob("*.sock"))
