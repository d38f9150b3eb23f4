"""Run commands in this process against a scripted daemon."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from support import scripted_http
from support.ctl import Ctl
from support.scripted_http import Script

from mlxd.supervisor.cli.root import mlxctl


@pytest.fixture
def daemon() -> Iterator[Script]:
    """Give a daemon that answers from a script."""
    with scripted_http.serving() as script:
        yield script


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a home in which no daemon runs, reached by variables of its own."""
    monkeypatch.setenv("MLXD_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def ctl(alone: Path) -> Ctl:
    """Give `mlxctl` as a function; it knows a daemon only by --url or MLXD_URL."""

    def run(*words: str, stdin: str | None = None) -> Result:
        return CliRunner().invoke(mlxctl, words, input=stdin, prog_name="mlxctl")

    return run
