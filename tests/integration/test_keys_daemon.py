"""Keys from the command line to the worker and back, on a real daemon; no secret is anywhere it may be seen."""

import json
import re
import subprocess
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import psutil
import pytest
from conftest import RunDaemon
from support.daemon import BIN, Daemon, Home
from support.deadline import until
from support.source import ROOT

CHAT = {"model": "demo", "messages": [{"role": "user", "content": "Hello!"}], "max_tokens": 4}


def asked(daemon: Daemon, key: str | None, path: str = "/v1/chat/completions") -> tuple[int, Any]:
    """Return status and body of a chat."""
    headers = {"content-type": "application/json"} | ({"x-api-key": key} if key else {})
    request = urllib.request.Request(daemon.url + path, json.dumps(CHAT).encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def made(place: Home, *words: str) -> str:
    """Make a key by command and return it."""
    answer = place.ctl("keys", "add", *words, "--json")
    assert answer.returncode == 0, answer.stderr
    return str(json.loads(answer.stdout)["key"])


def test_keys_work_at_once_and_leave_no_trace_of_themselves(running_daemon: RunDaemon) -> None:
    """Given a daemon, when keys come, are used, rotated and go, then each counts at once and none is to be seen."""
    daemon = running_daemon({"server": {"api_key": "the-settings-own-key"}})
    own = json.loads((daemon.place.state_dir / "mlxd.json").read_text())["api_key"]
    # One token: what the first answer takes is not made up for as long as this test may last.
    key = made(daemon.place, "laptop", "--tokens-per-minute", "1")
    assert asked(daemon, None)[0] == asked(daemon, "wrong-key-of-somebody")[0] == 401
    assert asked(daemon, key)[0] == 200

    def refused() -> Any:
        status, body = asked(daemon, key)
        return body if status == 429 else None

    # The worker's word about the tokens takes its own way.
    assert until(refused, within=60, what="it is used up")["error"]["code"] == "rate_limited"
    rotated = daemon.ctl("keys", "rotate", "laptop", "--json")
    fresh = json.loads(rotated.stdout)["key"]
    assert (asked(daemon, key)[0], asked(daemon, fresh)[0]) == (401, 429)
    robot = made(daemon.place, "robot", "--signed")
    assert readme_client(daemon, robot)["choices"][0]["message"]["content"]
    assert daemon.ctl("keys", "revoke", "laptop").stdout == "laptop is revoked\n"
    assert asked(daemon, fresh)[0] == 401

    family = [psutil.Process(daemon.pid), *psutil.Process(daemon.pid).children(recursive=True)]
    assert len(family) > 1
    seen = [" ".join(process.cmdline()) for process in family]
    seen += [" ".join(process.environ().values()) for process in family[1:]]
    for words in (
        ("status", "--json"),
        ("ps", "--json"),
        ("keys", "list", "--json"),
        ("events", "--json"),
    ):
        seen.append(daemon.ctl(*words).stdout)
    files = [
        f
        for f in (*daemon.place.log_dir.rglob("*"), *daemon.place.state_dir.rglob("*"))
        if f.is_file()
    ]
    seen += [f.read_text(errors="replace") for f in files if f.name != "mlxd.json"]
    assert any("audit.log" == f.name for f in files)
    for secret in (own, key, fresh, robot, "the-settings-own-key", "wrong-key-of-somebody"):
        assert not any(secret in text for text in seen)
    lines = (daemon.place.log_dir / "audit.log").read_text().splitlines()
    told = [(e["who"], e["what"], e["about"]) for e in map(json.loads, lines)]
    assert told == [
        ("mlxctl", "POST /v1/keys", "laptop"),
        ("mlxctl", "POST /v1/keys/laptop/rotate", "laptop"),
        ("mlxctl", "POST /v1/keys", "robot"),
        ("mlxctl", "DELETE /v1/keys/laptop", "laptop"),
    ]


def readme_client(daemon: Daemon, key: str) -> Any:
    """Run the README's example of a client that signs."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (source,) = re.findall(r"```python\n(import hashlib.*?)```", readme, re.DOTALL)
    script = f"{source}\nprint(json.dumps(ask('/v1/chat/completions', {CHAT!r})))"
    env = daemon.place.environment() | {"MLXD_KEY": key, "MLXD_URL": daemon.url}
    done = subprocess.run(
        [BIN / "python", "-P", "-c", script], env=env, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_beyond_loopback_the_daemon_does_not_start_without_a_key(tmp_path: Path, host: str) -> None:
    home = Home(tmp_path / "home")
    done = subprocess.run(
        [BIN / "mlxd", "--host", host], env=home.environment(), capture_output=True, text=True,
        timeout=60,
    )  # fmt: skip
    home.remove()
    assert done.returncode == 2
    assert "can be reached from other machines" in done.stderr
    assert "mlxctl keys add NAME" in done.stderr
    assert "mlxd listening" not in done.stdout


def test_the_first_key_can_be_made_before_the_first_start(home: Home) -> None:
    key = made(home, "first", "--model", "mlxd-*", "--expires-in", "1d")
    again = home.ctl("keys", "add", "first")
    assert (again.returncode, "taken" in again.stderr) == (1, True)
    assert home.ctl("keys", "add", "two words").returncode == 2
    listed = home.ctl("keys", "list").stdout
    assert "first" in listed and "mlxd-*" in listed and key not in listed
    assert home.ctl("keys", "rotate", "first", "--grace", "10m").returncode == 0
    assert ", old one " in home.ctl("keys", "list").stdout
    wrong = home.ctl("keys", "rotate", "first", "--grace", "soon")
    assert (wrong.returncode, "grace: expected a duration" in wrong.stderr) == (1, True)
    audit = [json.loads(line) for line in (home.log_dir / "audit.log").read_text().splitlines()]
    assert [(e["what"], e["result"]) for e in audit] == [
        ("keys add", "ok"), ("keys add", "invalid_request"), ("keys rotate", "ok"),
        ("keys rotate", "invalid_request"),
    ]  # fmt: skip
    assert home.ctl("keys", "revoke", "first").returncode == 0
    assert "no keys" in home.ctl("keys", "list").stdout
