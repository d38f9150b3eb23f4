"""What launchd and systemd are told is what keeps a daemon with models well."""

import plistlib
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mlxd.config.load import load
from mlxd.config.paths import Paths
from mlxd.supervisor.service import control, launchd, systemd
from mlxd.supervisor.service.control import Control, ServiceError, State
from mlxd.supervisor.service.launchd import Launchd
from mlxd.supervisor.service.plan import Service, exit_timeout, plan
from mlxd.supervisor.service.systemd import Systemd

ENV = {
    "HOME": "/Users/ada",
    "PATH": "/odd:/bin",
    "HF_HOME": "/Volumes/big/hf",
    "HF_TOKEN": "hf_secret",
    "MLXD_SERVER_PORT": "1234",
    "MLXD_SERVER_API_KEY": "sk-secret",
    "MLXD_API_KEY": "sk-secret",
    "MLXD_URL": "http://elsewhere",
    "EDITOR": "vi",
}


def service(**settings: str) -> Service:
    """Return the service of an environment with these settings."""
    env = ENV | {f"MLXD_{name.upper()}": value for name, value in settings.items()}
    return plan(["/opt/mlxd/bin/mlxd"], load(None, env), Paths.of(env, platform="darwin"), env)


def agent(**settings: str) -> dict[str, Any]:
    """Return the property list as launchd reads it."""
    read: dict[str, Any] = plistlib.loads(
        Launchd("launchctl", Path("/Users/ada"), 501).text(service(**settings))
    )
    return read


def test_the_property_list_round_trips() -> None:
    assert agent() == launchd.agent(service())


def test_launchd_neither_throttles_it_nor_kills_it_before_its_workers_have_left() -> None:
    read = agent()
    assert read["ProcessType"] == "Interactive"
    assert read["KeepAlive"] == {"SuccessfulExit": False}
    assert read["ThrottleInterval"] >= 10
    assert read["ExitTimeOut"] >= 120
    assert (
        read["SoftResourceLimits"]["NumberOfFiles"] <= read["HardResourceLimits"]["NumberOfFiles"]
    )


@pytest.mark.parametrize(
    ("drain", "grace", "least"),
    [("0", "1s", 120), ("60s", "60s", 120), ("5m", "10m", 900), ("never", "60s", 660)],
)
def test_the_time_to_leave_follows_the_configuration(drain: str, grace: str, least: int) -> None:
    env = {"MLXD_DEFAULTS_DRAIN_TIMEOUT": drain, "MLXD_DEFAULTS_KILL_GRACE": grace}
    assert least <= exit_timeout(load(None, env | {"HOME": "/nowhere"})) <= least + 15


def test_the_service_finds_homebrew_and_the_models_and_logs_where_this_user_looks() -> None:
    read = agent()
    folders = read["EnvironmentVariables"]["PATH"].split(":")
    assert folders[0] == "/opt/homebrew/bin" and {"/usr/local/bin", "/usr/sbin"} <= set(folders)
    assert read["EnvironmentVariables"]["HF_HOME"] == "/Volumes/big/hf"
    assert read["EnvironmentVariables"]["MLXD_SERVER_PORT"] == "1234"
    assert "EDITOR" not in read["EnvironmentVariables"]
    assert "MLXD_URL" not in read["EnvironmentVariables"]
    assert read["StandardErrorPath"] == "/Users/ada/Library/Logs/mlxd/mlxd.log"


def test_no_secret_is_written_unasked() -> None:
    assert b"secret" not in Launchd("launchctl", Path("/"), 1).text(service())
    assert b"secret" not in Systemd("systemctl", Path("/")).text(service())
    env = ENV | {}
    asked = plan([], load(None, env), Paths.of(env), env, with_secrets=True).environment
    assert asked["HF_TOKEN"] == "hf_secret" and asked["MLXD_SERVER_API_KEY"] == "sk-secret"
    assert "MLXD_API_KEY" not in asked


def test_what_launchctl_prints_is_read_and_what_it_leaves_out_is_unknown() -> None:
    text = (
        "gui/501/mlxd.daemon = {\n\tactive count = 1\n\tpath = /x.plist\n\tstate = running\n\n"
        "\tenvironment = {\n\t\tPATH => /bin\n\t}\n\tpid = 812\n\texit timeout = 135\n"
        "\tspawn type = interactive (4)\n\tsockets = {\n\t\tstate = not running\n\t}\n}\n"
    )
    assert launchd.state_of(text) == State(True, True, 812, "interactive", 135)
    assert launchd.state_of("gui/501/mlxd.daemon = {\n\tstate = not running\n}\n") == State(True)


def test_what_systemctl_shows_is_read() -> None:
    text = "UnitFileState=enabled\nActiveState=active\nMainPID=7\nTimeoutStopUSec=2min 15s\n"
    assert systemd.state_of(text) == State(True, True, 7, None, 135)
    assert systemd.state_of("UnitFileState=\nActiveState=inactive\nMainPID=0\n") == State(False)


@pytest.mark.parametrize(
    "kind", [Launchd("launchctl", Path("/"), 1), Systemd("systemctl", Path("/"))]
)
def test_two_files_are_the_same_when_only_options_differ(kind: Control) -> None:
    plain = service()
    optioned = replace(plain, program=(*plain.program, "--port", "1"))
    later = replace(plain, exit_timeout=999)
    moved = replace(plain, program=("/new/bin/mlxd",))
    assert kind.same(kind.text(plain), kind.text(optioned))
    assert not kind.same(kind.text(plain), kind.text(later))
    assert not kind.same(kind.text(plain), kind.text(moved))
    assert not kind.same(b"broken", kind.text(plain))


SYSTEMCTL = """#!/bin/sh
echo "$*" >> "$0.calls"
case "$*" in *show*) printf 'UnitFileState=%s\\nActiveState=active\\nMainPID=5\\n' "$(cat "$0.enabled")";;
*disable*) : > "$0.enabled";; *enable*) echo enabled > "$0.enabled";; *fails*) echo no bus >&2; exit 1;; esac
"""


def test_systemd_is_asked_in_its_own_words(tmp_path: Path) -> None:
    program = tmp_path / "systemctl"
    program.write_text(SYSTEMCTL)
    program.chmod(0o755)
    (tmp_path / "systemctl.enabled").touch()
    found = control.of_user(
        {"HOME": str(tmp_path), "MLXD_SYSTEMCTL": str(program)}, platform="linux"
    )
    assert found.file == tmp_path / ".config/systemd/user/mlxd.service"
    assert not found.state().loaded
    found.install()
    assert found.state() == State(True, True, 5)
    found.start()
    found.stop()
    found.forget()
    calls = (tmp_path / "systemctl.calls").read_text().splitlines()
    changes = [line.removeprefix("--user ") for line in calls if "show" not in line]
    unit = "mlxd.service"
    assert changes == ["daemon-reload", f"enable {unit}", f"start {unit}", f"start {unit}",
                       f"stop --no-block {unit}", f"disable {unit}", f"stop --no-block {unit}"]  # fmt: skip


def test_what_the_system_refuses_is_said_in_its_words(tmp_path: Path) -> None:
    program = tmp_path / "tool"
    program.write_text("#!/bin/sh\necho no bus >&2; exit 1\n")
    program.chmod(0o755)
    with pytest.raises(ServiceError, match="no bus"):
        control.demand([str(program), "start"])
    with pytest.raises(ServiceError, match="cannot be run"):
        control.call([str(tmp_path / "none")])


ODD = replace(
    service(),
    program=("/bin/true", 'a "b" $HOME %h \\ c'),
    folder=Path("/"),
    log=Path("/tmp/with space %/mlxd.log"),
)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd here")
@pytest.mark.parametrize(
    "wanted", [replace(service(), program=("/bin/true",), folder=Path("/")), ODD]
)
def test_systemd_finds_nothing_wrong_with_the_unit(tmp_path: Path, wanted: Service) -> None:
    path = tmp_path / "mlxd.service"
    path.write_text(systemd.unit(wanted))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", str(path)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, [line for line in done.stderr.splitlines() if path.name in line]) == (
        0,
        [],
    )


def test_the_unit_stops_the_daemon_first_and_does_not_restart_what_cannot_start() -> None:
    lines = systemd.unit(ODD).splitlines()
    assert {"KillMode=mixed", "Restart=on-failure", "RestartPreventExitStatus=2"} <= set(lines)
    assert 'ExecStart="/bin/true" "a \\"b\\" $$HOME %%h \\\\ c"' in lines
