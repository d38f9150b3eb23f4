"""What `mlxctl connect` prints for the SDKs and for the shell runs as it is."""

import shutil
import subprocess
import sys

import pytest
from support.daemon import Daemon


@pytest.mark.parametrize("app", ["openai", "anthropic"])
def test_the_program_for_an_sdk_gets_an_answer(shared_daemon: Daemon, app: str) -> None:
    program = shared_daemon.ctl("connect", app).stdout
    done = subprocess.run(
        [sys.executable, "-P", "-c", program], capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl here")
def test_the_request_by_hand_gets_an_answer(shared_daemon: Daemon) -> None:
    line = shared_daemon.ctl("connect", "curl").stdout
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, timeout=100)
    assert '"choices"' in done.stdout, done.stderr


def test_completion_offers_the_commands(shared_daemon: Daemon) -> None:
    shared_daemon.place.env |= {
        "COMP_WORDS": "mlxctl un",
        "COMP_CWORD": "1",
        "_MLXCTL_COMPLETE": "bash_complete",
    }
    try:
        assert "plain,unload" in shared_daemon.ctl().stdout.split()
    finally:
        for name in ("COMP_WORDS", "COMP_CWORD", "_MLXCTL_COMPLETE"):
            del shared_daemon.place.env[name]
