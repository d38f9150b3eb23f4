"""Stand in for launchd: a `launchctl` that runs agents the way launchd would, and notes every call.

It runs as a program of its own, `python -S launchd.py FOLDER ARGUMENTS…`; the folder holds what launchd would know.
An agent gets the variables launchd would give it and no others.
"""

import json
import os
import plistlib
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

_DOMAIN = f"gui/{os.getuid()}"
_NO_SUCH = 113


def is_running(pid: int) -> bool:
    """Tell whether a process is there and is no zombie."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


class Launchd:
    """What one user's launchd knows, in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._known = folder / "loaded.json"

    def calls(self) -> list[list[str]]:
        """Return every call so far."""
        path = self.folder / "calls"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def program(self) -> Path:
        """Write the launchctl that speaks for this one, and return where."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / "launchctl"
        path.write_text(
            f'#!/bin/sh -e\nexec "{sys.executable}" -S "{__file__}" "{self.folder}" "$@"\n'
        )
        path.chmod(0o755)
        return path

    def known(self) -> dict[str, Any]:
        """Return label -> pid and agent."""
        known: dict[str, Any] = json.loads(self._known.read_text()) if self._known.exists() else {}
        return known

    def act(self, words: list[str]) -> int:
        """Do what launchctl was asked for and return its exit code."""
        with (self.folder / "calls").open("a") as calls:
            calls.write(json.dumps(words) + "\n")
        verb, *rest = words
        known = self.known()
        label = rest[-1].rpartition("/")[2]
        if verb == "enable":
            return 0
        if verb == "bootstrap":
            agent = plistlib.loads(Path(rest[1]).read_bytes())
            known[agent["Label"]] = {"agent": agent, "pid": self._run(agent)}
        elif not rest[-1].startswith(_DOMAIN) and not rest[0].startswith("SIG"):
            return _NO_SUCH
        elif label not in known:
            return _NO_SUCH
        elif verb == "print":
            print(_printed(label, known[label]))
        elif verb == "kickstart" and not is_running(known[label]["pid"]):
            known[label]["pid"] = self._run(known[label]["agent"])
        elif verb == "kill":
            os.kill(known[label]["pid"], signal.Signals[rest[0]])
        elif verb == "bootout":
            self._end(known.pop(label))
        self._known.write_text(json.dumps(known))
        return 0

    def _run(self, agent: dict[str, Any]) -> int:
        own = {"HOME": os.environ["HOME"], "USER": "somebody", "PATH": "/usr/bin:/bin"}
        with Path(agent["StandardOutPath"]).open("ab") as log:
            return subprocess.Popen(
                agent["ProgramArguments"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=agent["WorkingDirectory"],
                env=own | agent["EnvironmentVariables"],
                umask=agent["Umask"],
                start_new_session=True,
            ).pid

    def _end(self, entry: dict[str, Any]) -> None:
        if not is_running(entry["pid"]):
            return
        os.kill(entry["pid"], signal.SIGTERM)
        deadline = time.monotonic() + entry["agent"]["ExitTimeOut"]
        while is_running(entry["pid"]):
            if time.monotonic() > deadline:
                (self.folder / "killed").touch()
                os.kill(entry["pid"], signal.SIGKILL)
            time.sleep(0.05)


def _printed(label: str, entry: dict[str, Any]) -> str:
    """Write what `launchctl print` writes, cut to what matters here."""
    agent, runs = entry["agent"], is_running(entry["pid"])
    pid = f"\tpid = {entry['pid']}\n" if runs else ""
    return (
        f"{_DOMAIN}/{label} = {{\n\tactive count = 1\n\ttype = LaunchAgent\n"
        f"\tstate = {'running' if runs else 'not running'}\n\n"
        f"\tprogram = {agent['ProgramArguments'][0]}\n\tminimum runtime = {agent['ThrottleInterval']}\n"
        f"\texit timeout = {agent['ExitTimeOut']}\n{pid}"
        f"\tspawn type = {agent['ProcessType'].lower()} (4)\n\tproperties = keepalive | runatload\n}}"
    )


if __name__ == "__main__":
    sys.exit(Launchd(Path(sys.argv[1])).act(sys.argv[2:]))
