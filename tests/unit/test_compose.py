"""The compose files reach a daemon on the machine, and open nothing to others."""

import json
import re
import shutil
import subprocess
from typing import Any

import pytest
import yaml
from support.source import ROOT

from mlxd.config.load import load
from mlxd.supervisor.cli.snippets import CONTAINER_HOST

FILES = sorted((ROOT / "docker").glob("*.compose.yaml"))
SETTINGS = load(None, {"HOME": "/nowhere"})
_VARIABLE = re.compile(r"\$\{(\w+)(?::([-?])([^}]*))?\}")


def filled(text: str) -> str:
    """Put the variables' defaults in, as compose does; one that must be given gets a word."""
    return _VARIABLE.sub(lambda found: found[3] if found[2] == "-" else "given", text)


def services(name: str) -> dict[str, dict[str, Any]]:
    """Return the services of a file."""
    (path,) = (path for path in FILES if path.name == name)
    found: dict[str, dict[str, Any]] = yaml.safe_load(filled(path.read_text()))["services"]
    return found


def test_there_is_one_for_litellm_open_webui_and_curl() -> None:
    assert [path.name for path in FILES] == [
        "curl.compose.yaml", "litellm.compose.yaml", "open-webui.compose.yaml",
    ]  # fmt: skip


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_container_asks_the_configured_port_of_its_host_under_a_name_that_is_let_in(
    path: Any,
) -> None:
    assert CONTAINER_HOST in SETTINGS.server.allowed_hosts
    for service in services(path.name).values():
        assert service["extra_hosts"] == [f"{CONTAINER_HOST}:host-gateway"]
        assert f"http://{CONTAINER_HOST}:{SETTINGS.server.port}/v1" in json.dumps(service)
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))


def test_the_request_by_hand_is_one() -> None:
    command = services("curl.compose.yaml")["ask"]["command"]
    body = json.loads(command[command.index("--json") + 1])
    assert body["model"] == "mlxd-demo" and body["messages"]


def test_litellm_finds_its_configuration_and_every_variable_in_it() -> None:
    service = services("litellm.compose.yaml")["litellm"]
    (source, target, _) = service["volumes"][0].split(":")
    config = (ROOT / "docker" / source).read_text()
    assert target in service["command"]
    assert set(re.findall(r"os\.environ/(\w+)", config)) <= set(service["environment"])
    assert yaml.safe_load(config)["model_list"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_compose_itself_takes_it(path: Any) -> None:
    compose = ["docker", "compose"]
    known = shutil.which("docker") and subprocess.run([*compose, "version"], capture_output=True)
    if not known or known.returncode:
        pytest.skip("no docker compose here")
    done = subprocess.run(
        [*compose, "-f", str(path), "config", "--quiet"],
        capture_output=True,
        text=True,
        env={"PATH": "/usr/local/bin:/usr/bin:/bin", "LITELLM_MASTER_KEY": "k", "HOME": "/nowhere"},
    )
    assert done.returncode == 0, done.stderr
