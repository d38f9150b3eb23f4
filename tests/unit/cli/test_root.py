"""Global options, exit codes and errors are the same for every command."""

import json
from pathlib import Path

import pytest
from support.ctl import Ctl
from support.scripted_http import Script

from mlxd.supervisor import runfile
from mlxd.supervisor.runfile import RunFile

PS = "GET /v1/ps"
NOTHING_THERE = "http://127.0.0.1:1"


def test_options_may_stand_before_or_after_the_command(ctl: Ctl, daemon: Script) -> None:
    daemon.answer(PS, {"models": []})
    for words in (
        ("--json", "--api-key", "k", "--url", daemon.url, "ps"),
        ("ps", "--url", daemon.url, "--api-key", "k", "--json"),
    ):
        assert json.loads(ctl(*words).stdout) == {"models": []}
    assert daemon.authorization == ["Bearer k", "Bearer k"]


def test_what_is_typed_beats_the_environment_wherever_it_stands(
    ctl: Ctl, daemon: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    daemon.answer(PS, {"models": []})
    monkeypatch.setenv("MLXD_URL", NOTHING_THERE)
    monkeypatch.setenv("MLXD_API_KEY", "from-env")
    assert ctl("ps").exit_code == 3
    assert ctl("ps", "--url", daemon.url).exit_code == 0
    assert ctl("--url", daemon.url, "ps", "--api-key", "typed").exit_code == 0
    assert daemon.authorization == ["Bearer from-env", "Bearer typed"]


def test_the_daemon_that_runs_here_is_found_by_its_run_file(
    ctl: Ctl, daemon: Script, alone: Path
) -> None:
    daemon.answer(PS, {"models": []})
    runfile.write(alone / "state", RunFile(pid=1, started_at=0.0, url=daemon.url, version="0"))
    assert ctl("ps").exit_code == 0


def test_the_key_of_the_daemon_that_runs_here_need_not_be_typed_and_goes_nowhere_else(
    ctl: Ctl, daemon: Script, alone: Path
) -> None:
    daemon.answer(PS, {"models": []})
    run = RunFile(pid=1, started_at=0.0, url=daemon.url, version="0", api_key="secret")
    runfile.write(alone / "state", run)
    ctl("ps")
    ctl("ps", "--api-key", "typed")
    ctl("ps", "--url", daemon.url)
    assert daemon.authorization == ["Bearer secret", "Bearer typed", None]


def test_without_a_run_file_the_configured_address_is_tried(ctl: Ctl, alone: Path) -> None:
    (alone / "config.yaml").write_text("server: {port: 1}\n")
    done = ctl("ps")
    assert done.stderr == (
        "mlxctl: no daemon answers at http://127.0.0.1:1; `mlxctl start` starts one\n"
    )
    assert done.exit_code == 3


def test_an_unreachable_daemon_is_exit_code_3_for_every_command_that_asks_it(ctl: Ctl) -> None:
    for words in (
        ["ps"],
        ["load", "m"],
        ["unload", "m"],
        ["list"],
        ["show", "m"],
        ["chat", "m", "hi"],
    ):
        assert ctl(*words, "--url", NOTHING_THERE).exit_code == 3


def test_a_wrong_configuration_is_exit_code_2_and_one_sentence(ctl: Ctl, alone: Path) -> None:
    (alone / "config.yaml").write_text("server: {prot: 1}\n")
    done = ctl("ps")
    assert done.exit_code == 2
    assert done.stderr.startswith("mlxctl: ") and "server.prot" in done.stderr
    assert "config.yaml" in done.stderr


@pytest.mark.parametrize("url", ["localhost:10240", "ftp://x", "http://", "http://x:port"])
def test_an_url_that_is_none_is_exit_code_2(ctl: Ctl, url: str) -> None:
    done = ctl("ps", "--url", url)
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr == (
        f"mlxctl: --url: expected something like http://127.0.0.1:10240, got {url!r}\n"
    )


def test_a_missing_key_says_how_to_give_one(ctl: Ctl, daemon: Script) -> None:
    error = {"message": "an API key is needed", "code": "invalid_api_key"}
    daemon.answer(PS, {"error": error}, status=401)
    done = ctl("ps", "--url", daemon.url)
    assert done.stderr == "mlxctl: an API key is needed; pass --api-key or set MLXD_API_KEY\n"


def test_with_json_an_error_is_json_too_and_stdout_stays_empty(ctl: Ctl, daemon: Script) -> None:
    daemon.answer(PS, {"error": {"message": "no", "code": "shutting_down"}}, status=503)
    done = ctl("ps", "--json", "--url", daemon.url)
    assert (done.stdout, done.exit_code) == ("", 1)
    assert json.loads(done.stderr) == {"error": {"message": "no", "code": "shutting_down"}}


def test_an_answer_without_an_error_object_still_gives_a_sentence(ctl: Ctl, daemon: Script) -> None:
    daemon.answers[PS] = (502, b"<html>bad gateway</html>")
    done = ctl("ps", "--url", daemon.url)
    assert done.stderr == "mlxctl: the daemon answered HTTP 502\n"


def test_an_unknown_command_is_exit_code_2(ctl: Ctl) -> None:
    assert ctl("frobnicate").exit_code == 2
