"""Run a real `mlxd` with a home of its own, and `mlxctl` beside it."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from support.deadline import until

from mlxd.supervisor import runfile

BIN = Path(sys.executable).parent
_START_S = 120.0
_STOP_S = 90.0
_ANSWER_S = 60.0
"""However slow the machine: where all is well, nobody waits so long."""
_FOREIGN = ("MLXD_", "HF_", "HUGGINGFACE_", "XDG_", "TRANSFORMERS_")
"""Variables of the developer's own machine that would leak into a test."""


def is_gone(pid: int) -> bool:
    """Tell whether a process has ended; where the machine's first process reaps nobody, zombies stay listed."""
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


@dataclass
class Home:
    """Hold the folders one daemon lives in; commands run in it see nothing of this machine's user."""

    folder: Path
    env: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # Sockets live here: their path must stay under 103 bytes, which tmp_path's may not.
        self._run_dir = Path(tempfile.mkdtemp(prefix="mlxd-", dir="/tmp"))
        self.folder.mkdir(parents=True, exist_ok=True)

    @property
    def state_dir(self) -> Path:
        """Where the run file is."""
        return self.folder / "state"

    @property
    def log_dir(self) -> Path:
        """Where the logs are."""
        return self.folder / "logs"

    @property
    def run_dir(self) -> Path:
        """Where the workers' sockets are."""
        return self._run_dir

    @property
    def config_file(self) -> Path:
        """Where `mlxctl init` writes and `mlxd` reads."""
        return self.folder / "config.yaml"

    def environment(self) -> dict[str, str]:
        """Return what a command in this home sees."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
        own = {
            "HOME": str(self.folder),
            "MLXD_HOME": str(self.folder),
            "MLXD_STATE_DIR": str(self.state_dir),
            "MLXD_LOG_DIR": str(self.log_dir),
            "MLXD_RUN_DIR": str(self._run_dir),
            "MLXD_SERVER_PORT": "0",
            "MLXD_DEFAULTS_STANDBY_WORKERS": "0",
            "MLX_DISABLE_COMPILE": "1",
            "COLUMNS": "80",
            "NO_COLOR": "1",
        }
        return kept | own | self.env

    def configure(self, config: Mapping[str, Any] | str) -> None:
        """Write the configuration; JSON is YAML."""
        text = config if isinstance(config, str) else json.dumps(config, indent=2)
        self.config_file.write_text(text, encoding="utf-8")

    def ctl(
        self, *words: str, stdin: str | None = None, timeout: float = 120
    ) -> "subprocess.CompletedProcess[str]":
        """Run `mlxctl` and return what it said."""
        return subprocess.run(
            [BIN / "mlxctl", *words],
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=timeout,
        )

    def remove(self) -> None:
        """Delete the folder of the sockets; the rest is the test's own."""
        shutil.rmtree(self._run_dir, ignore_errors=True)


class Daemon:
    """A running `mlxd`, a child of the test."""

    def __init__(self, home: Home, stdin: int = subprocess.DEVNULL) -> None:
        self.home = home.folder
        self.place = home
        home.log_dir.mkdir(exist_ok=True)
        self._log = (home.log_dir / "mlxd.log").open("ab")
        self.process = subprocess.Popen(
            [BIN / "mlxd"],
            stdin=stdin,
            stdout=self._log,
            stderr=self._log,
            env=home.environment(),
            start_new_session=True,
        )
        self.pid = self.process.pid
        try:
            self.url = until(self._answering_url, within=_START_S, what="mlxd answers /health")
        except BaseException:
            self.end()
            raise

    @property
    def log(self) -> str:
        """What the daemon wrote so far."""
        return (self.place.log_dir / "mlxd.log").read_text(errors="replace")

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self.url.rpartition(":")[2])

    def ctl(
        self, *words: str, stdin: str | None = None, timeout: float = 120
    ) -> "subprocess.CompletedProcess[str]":
        """Run `mlxctl` against this daemon."""
        return self.place.ctl(*words, stdin=stdin, timeout=timeout)

    def get(self, path: str) -> Any:
        """Return the JSON answer to a GET."""
        with urllib.request.urlopen(self.url + path, timeout=_ANSWER_S) as response:
            return json.load(response)

    def post(self, path: str, body: Mapping[str, Any], timeout: float = 120) -> Any:
        """Return the JSON answer to a POST; raises urllib.error.HTTPError on a refusal."""
        request = urllib.request.Request(
            self.url + path, json.dumps(body).encode(), {"content-type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=timeout) as response:
            return json.load(response)

    def ps(self) -> list[dict[str, Any]]:
        """Return the models `/v1/ps` knows."""
        models: list[dict[str, Any]] = self.get("/v1/ps")["models"]
        return models

    def kill(self) -> None:
        """Kill it as a crash would."""
        self.process.kill()
        self.process.wait()

    def end(self) -> int:
        """Ask it to leave and return its exit code; a second call changes nothing."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(timeout=_STOP_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"mlxd did not leave within {_STOP_S:g} s:\n{self.log}") from None
        finally:
            self._log.close()

    def _answering_url(self) -> str | None:
        if (code := self.process.poll()) is not None:
            raise AssertionError(f"mlxd left with exit code {code}:\n{self.log}")
        found = runfile.read(self.place.state_dir)
        if found is None or found.pid != self.pid:
            return None
        try:
            with urllib.request.urlopen(found.url + "/health", timeout=_ANSWER_S):
                return found.url
        except OSError:  # URLError is one, and so is the silence of a daemon that was held up
            return None
