"""Each check of `mlxctl doctor` is a function of facts, and says what to do about what it finds."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mlxd.config.load import load
from mlxd.config.paths import Paths
from mlxd.supervisor.doctor import collect, report
from mlxd.supervisor.doctor.checks import CHECKS, judge
from mlxd.supervisor.doctor.facts import Facts, Probe, ServiceFacts
from mlxd.supervisor.doctor.finding import Verdict
from mlxd.supervisor.service.control import State

GB = 1 << 30
ENV = {"HOME": "/Users/ada"}
SERVICE = ServiceFacts(
    kind="launchd",
    file="/Users/ada/Library/LaunchAgents/mlxd.daemon.plist",
    installed=True,
    is_current=True,
    state=State(True, True, 7, "interactive", 135),
    file_process_type="Interactive",
    file_exit_timeout=135,
)
PROBE = Probe(
    token_seconds=1.0,
    wired_limit=0,
    footprint=GB,
    freed=GB,
    wired_before=4 * GB,
    wired_during=5 * GB,
    wired_after=4 * GB,
    is_gone=True,
)
WELL = Facts(
    platform="darwin",
    system="Darwin 25 arm64",
    python="3.12",
    version="0.1.0",
    paths=Paths.of(ENV, platform="darwin"),
    settings=load(None, ENV),
    url="http://127.0.0.1:10240",
    pid=7,
    started_at=1000.0,
    service=SERVICE,
    total_bytes=64 * GB,
    gpu_bytes=48 * GB,
    available_bytes=40 * GB,
    hub_exists=True,
    models=3,
    missing={"vision": (), "audio": ()},
    ffmpeg="/opt/homebrew/bin/ffmpeg",
    free={"/": 100 * GB},
    clock=2000.0,
    file_clock=2000.0,
    built_at=500.0,
    probe=PROBE,
    host_status=200,
    container=True,
)


def test_a_well_kept_mac_passes_every_check() -> None:
    assert {name: found.says for name, found in judge(WELL).items() if found.verdict != "ok"} == {}


def service(**changes: Any) -> dict[str, object]:
    """Return what to change so that the service is another."""
    return {"service": replace(SERVICE, **changes)}


def probe(**changes: Any) -> dict[str, object]:
    """Return what to change so that the probe came out otherwise."""
    return {"probe": replace(PROBE, **changes)}


CASES: list[tuple[str, str, dict[str, object], str]] = [
    ("config", "fail", {"config_error": "config.yaml:3: server.prot: unknown"}, "server.prot"),
    ("daemon", "warn", {"url": None}, "not running"),
    ("daemon", "fail", {"daemon_error": "timed out"}, "timed out"),
    ("port", "fail", {"url": None, "port_holder": "pid 5 (python)"}, "pid 5"),
    ("service", "ok", service(installed=False, state=State(False)), "not installed"),
    ("service", "fail", service(installed=False), "is gone"),
    ("service", "fail", service(state=State(False)), "does not know it"),
    ("service", "warn", service(is_current=False), "would write"),
    ("service", "warn", {"pid": 8}, "pid 8 answers"),
    ("service", "skip", {"service": None}, "neither"),
    ("launchd", "fail", service(state=State(True, True, 7, "background", 135)), "background"),
    ("launchd", "fail", service(state=State(True, True, 7, "interactive", 5)), "killed after 5 s"),
    ("launchd", "fail", service(state=State(True), file_process_type="unset"), "unset"),
    ("launchd", "skip", {"service": None}, "not installed"),
    ("memory", "fail", {"gpu_bytes": 8 * GB, "settings": load(None, ENV | {"MLXD_MEMORY_BUDGET": "40GB"})},
     "models may take"),
    ("memory", "warn", {"available_bytes": GB, "probe": None}, "1.1 GB are free"),
    ("wired", "warn", {"settings": load(None, ENV | {"MLXD_MEMORY_WIRED": "true"})}, "is on"),
    ("hub_cache", "warn", {"hub_exists": False}, "does not exist"),
    ("hub_cache", "warn", {"unusable": (("a/b", "a shard is missing"),)}, "a shard is missing"),
    ("downloads", "warn", {"half": {"a/b": 5 * 10**6}}, "a/b (5.0 MB)"),
    ("extras", "warn", {"missing": {"vision": ("mlx-vlm",), "audio": ()}}, "vision lacks mlx-vlm"),
    ("codec", "warn", {"ffmpeg": None}, "cannot be decoded"),
    ("disk", "warn", {"free": {"/": 5 * GB}}, "free at /"),
    ("disk", "fail", {"free": {"/": GB // 2, "/x": 90 * GB}}, "free at /"),
    ("clock", "fail", {"clock": 100.0, "file_clock": 100.0}, "installed"),
    ("clock", "fail", {"clock": 700.0, "file_clock": 700.0}, "daemon's start"),
    ("clock", "warn", {"file_clock": 2060.0}, "60 s"),
    ("demo_token", "fail", probe(error="worker_died: exit 1"), "worker_died"),
    ("demo_token", "warn", probe(token_seconds=99.0), "99.0 s"),
    ("demo_token", "skip", {"probe": None}, "no token"),
    ("unload", "fail", probe(is_gone=False), "still ran"),
    ("unload", "warn", probe(wired_after=9 * GB), "more wired"),
    ("unload", "skip", probe(is_gone=None), "left loaded"),
    ("wired_limit", "fail", probe(wired_limit=GB), "memory.wired is off"),
    ("wired_limit", "skip", {"platform": "linux"}, "Metal"),
    ("docker_host", "fail", {"host_status": 403}, "refused"),
    ("container", "warn", {"container": False, "container_says": "refused"}, "refused"),
    ("container", "skip", {"container": "no docker"}, "no Docker"),
    ("container", "skip", {"container": "no image"}, "busybox"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "verdict", "changes", "says"), CASES)
def test_what_is_wrong_is_named(
    name: str, verdict: str, changes: dict[str, Any], says: str
) -> None:
    found = judge(replace(WELL, **changes))[name]
    assert (found.verdict, says in found.says) == (verdict, True), found
    assert bool(found.advice) == (found.verdict in (Verdict.WARN, Verdict.FAIL))


def test_every_check_can_find_something() -> None:
    assert {name for name, verdict, _, _ in CASES if verdict in ("warn", "fail")} == set(CHECKS)


def test_a_machine_of_which_nothing_is_known_is_judged_too() -> None:
    empty = Facts(platform="linux", system="", python="", version="", paths=Paths.of(ENV))
    assert set(judge(empty)) == set(CHECKS)


def test_half_downloads_are_counted_by_model(tmp_path: Path) -> None:
    blobs = tmp_path / "models--a--b" / "blobs"
    blobs.mkdir(parents=True)
    (blobs / "x.incomplete").write_bytes(b"12345")
    (blobs / "y.incomplete").write_bytes(b"1")
    (blobs / "z").write_bytes(b"1")
    assert collect.half_downloads(tmp_path) == {"a/b": 6}
    assert collect.half_downloads(tmp_path / "none") == {}


def test_an_extra_is_complete_when_all_its_packages_are_there() -> None:
    asked = ["click>=8", 'no-such-thing>=1; extra == "vision"', "pytest; extra == 'vision'",
             'pytest>=1; extra == "audio"', 'mlxd[vision]; extra == "images"', 'ruff; extra == "dev"']  # fmt: skip
    assert collect.missing_packages(asked) == {
        "vision": ("no-such-thing",), "audio": (), "images": (),
    }  # fmt: skip


def test_a_report_holds_no_secret_no_name_and_no_home() -> None:
    facts = replace(
        WELL, environment={"HTTPS_PROXY": "http://ada:pw@proxy:1", "HF_HOME": "/Users/ada/hf"}
    )
    log = [
        "authorization: Bearer abc.def",
        "key=mlxd-0123456789abcdef",
        "api_key: topsecret",
        "by ada",
    ]
    text = report.write(facts, judge(facts), log)
    clean = report.redact(text, home="/Users/ada", user="ada", secrets=["topsecret", ""])
    for word in ("ada", "abc.def", "0123456789abcdef", "topsecret", "pw@"):
        assert word not in clean, word
    assert "~/hf" in clean and "ok config" in clean
