"""`mlxctl connect` prints what each program reads, whatever the names hold."""

import ast
import json
import shutil
import subprocess
import tomllib
from typing import Any

import pytest
import yaml
from support.ctl import Ctl
from support.scripted_http import Script
from support.statuses import entry

from mlxd.supervisor.cli.snippets import SNIPPETS, Target

ODD = 'org/a "quoted" $name\\ü: #x'
TARGETS = [
    Target("http://127.0.0.1:10240", "mlxd-demo"),
    Target("http://127.0.0.1:1", ODD, key='k"$(y)'),
]
LOCAL = "http://127.0.0.1:10240"


def read(app: str, to: Target) -> Any:
    """Return a snippet as its program would read it."""
    text = SNIPPETS[app].write(to)
    match SNIPPETS[app].language:
        case "toml":
            return tomllib.loads(text)
        case "yaml":
            return yaml.safe_load(text)
        case "json":
            return json.loads(text)
        case "python":
            return [n.value for n in ast.walk(ast.parse(text)) if isinstance(n, ast.Constant)]
        case language:
            assert language == "shell"
            found = words(text)
            return [json.loads(word) if word.startswith("{") else word for word in found]


def words(text: str) -> list[str]:
    """Return what a shell makes of a script, without running its programs."""
    tell = "".join(f'{name}() {{ printf "%s\\0" "$@"; }}\n' for name in ("curl", "docker"))
    tell += "claude() { env -0; }\n"
    done = subprocess.run(
        ["sh", "-eu", "-c", tell + text], capture_output=True, text=True, check=True
    )
    return done.stdout.split("\0")


@pytest.mark.parametrize("to", TARGETS, ids=["plain", "odd"])
@pytest.mark.parametrize("app", SNIPPETS)
def test_every_snippet_is_read_with_address_model_and_key_unharmed(app: str, to: Target) -> None:
    found = json.dumps(read(app, to), ensure_ascii=False)
    assert to.url in found
    if app != "open-webui":  # it asks which models there are
        assert json.dumps(to.model, ensure_ascii=False)[1:-1] in found
    if app not in ("codex", "zed"):  # they take it from the environment
        assert json.dumps(to.key, ensure_ascii=False)[1:-1] in found


def test_codex_and_zed_are_told_what_they_look_for() -> None:
    plain, odd = (read("codex", to) for to in TARGETS)
    assert plain["model_provider"] == "mlxd" and "env_key" not in plain["model_providers"]["mlxd"]
    assert odd["model_providers"]["mlxd"]["env_key"] == "MLXD_API_KEY"
    provider = read("zed", TARGETS[1])["language_models"]["openai_compatible"]["mlxd"]
    assert provider["available_models"][0]["name"] == ODD


@pytest.mark.parametrize(
    ("url", "seen"),
    [
        (LOCAL, "http://host.docker.internal:10240"),
        ("http://[::1]:5", "http://host.docker.internal:5"),
        ("https://mac.example:8443/x", "https://mac.example:8443/x"),
    ],
)
def test_a_container_reaches_this_machine_under_another_name(url: str, seen: str) -> None:
    assert Target(url, "m").from_container().url == seen


def test_a_loaded_model_is_named_and_another_on_demand(ctl: Ctl, daemon: Script) -> None:
    entries = [entry(id="cold"), entry(id="warm", state="ready", context_length=999, aliases=["w"])]
    daemon.answer("GET /v1/models", {"data": entries})
    found = json.loads(ctl("connect", "codex", "--json", "--url", daemon.url).stdout)
    assert (found["model"], found["url"], found["language"]) == ("warm", daemon.url, "toml")
    assert tomllib.loads(found["text"])["model_context_window"] == 999
    assert (
        'model = "cold"' in ctl("connect", "codex", "--model", "cold", "--url", daemon.url).stdout
    )
    assert (
        "host.docker.internal"
        in ctl("connect", "litellm", "--container", "--url", daemon.url).stdout
    )


def test_a_key_is_never_printed(ctl: Ctl, daemon: Script) -> None:
    daemon.answer(
        "GET /v1/models", {"error": {"message": "no", "code": "invalid_api_key"}}, status=401
    )
    done = ctl("connect", "openai", "--url", daemon.url, "--api-key", "sk-secret")
    assert "YOUR_KEY" in done.stdout and "sk-secret" not in done.stdout


def test_without_a_daemon_the_configured_address_is_printed(ctl: Ctl) -> None:
    done = ctl("connect", "curl")
    assert done.exit_code == 0 and "http://127.0.0.1:10240/v1/chat/completions" in done.stdout
    assert "guess" in done.stderr


def test_alone_it_lists_the_programs(ctl: Ctl) -> None:
    assert all(name in ctl("connect").stdout for name in SNIPPETS)
    assert list(json.loads(ctl("connect", "--json").stdout)) == list(SNIPPETS)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_gets_a_completion_it_can_read(ctl: Ctl, shell: str) -> None:
    text = ctl("completion", shell).stdout
    assert "_MLXCTL_COMPLETE" in text
    if shutil.which(shell):
        subprocess.run([shell, "-n"], input=text, text=True, check=True)


def test_the_bash_of_a_mac_which_is_3_2_completes_too(ctl: Ctl) -> None:
    # Bash 4.4 was the first with nosort: its CHANGES, 2.
    old = 'complete() { case " $* " in *" nosort "*) return 2;; esac; echo "took $*"; }\n'
    script = old + ctl("completion", "bash").stdout
    done = subprocess.run(["bash"], input=script, text=True, capture_output=True, check=True)
    assert (done.stdout, done.stderr) == ("took -F _mlxctl_completion mlxctl\n", "")


def test_the_zsh_of_a_mac_is_made_ready_to_complete_where_it_is_not(ctl: Ctl) -> None:
    # Without a framework it answers "command not found: compdef" (aws-session-tool#29).
    lines = [line.strip() for line in ctl("completion", "zsh").stdout.splitlines()]
    at = lines.index("compdef _mlxctl_completion mlxctl")
    assert lines[0] == "#compdef mlxctl"
    assert lines[at - 1].startswith("(( $+functions[compdef] )) ||") and "compinit" in lines[at - 1]
