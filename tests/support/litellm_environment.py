"""Make the environment that LiteLLM needs, beside that of the tests: it pins older releases of the same libraries."""

import json
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest

_ROOT = Path(__file__).parents[2]
FOLDER = _ROOT / ".venv-litellm"
NEEDED = ("litellm>=1.106,<2", "mcp>=1.9")
"""The second is what LiteLLM imports, and does not say it needs, wherever a call has tools."""
_CLIENT = Path(__file__).with_name("litellm_client.py")
_INSTALL_S = 600


def python() -> Path:
    """Return the interpreter that has LiteLLM; installs it once, and skips the test where no package can be had."""
    found, stamp = FOLDER / "bin" / "python", FOLDER / ".installed"
    wanted = "\n".join(NEEDED)
    if stamp.is_file() and stamp.read_text() == wanted:
        return found
    subprocess.run([sys.executable, "-m", "venv", str(FOLDER)], check=True, timeout=_INSTALL_S)
    command = [str(found), "-m", "pip", "install", "-q", "--no-compile", *NEEDED]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_INSTALL_S)
    if done.returncode and "from versions: none" in done.stderr:
        pytest.skip("no index of packages has LiteLLM here")
    assert done.returncode == 0, done.stderr
    stamp.write_text(wanted)
    return found


class LiteLlm:
    """Be LiteLLM in another process."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [python(), "-P", _CLIENT],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()

    def call(self, function: str, **arguments: Any) -> tuple[str, Any]:
        """Return `whole` or `parts` with the answer, or the name of what was raised with what it says."""
        assert self._process.stdin is not None and self._process.stdout is not None
        print(json.dumps([function, arguments]), file=self._process.stdin, flush=True)
        kind, told = json.loads(self._process.stdout.readline())
        return kind, told
