"""The README's tables say what the code says."""

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import click
import pytest
import yaml
from starlette.routing import Route
from support import source
from support.all_metrics import families
from support.source import ALLOWED, ROOT

from mlxd.config.load import DEFAULTS, load
from mlxd.config.settings import ModelEntry
from mlxd.protocol import errors
from mlxd.protocol.errors import ConfigError, MlxdError
from mlxd.protocol.lifecycle import LEGAL, WorkerState
from mlxd.supervisor.app import build_app
from mlxd.supervisor.cli.failure import Exit
from mlxd.supervisor.cli.root import mlxctl

README = (ROOT / "README.md").read_text(encoding="utf-8")
Rows = list[list[str]]


def tables() -> Iterator[tuple[str, Rows]]:
    """Yield each table's header line and its rows of cells."""
    for block in re.findall(r"(?:^\|.*\n)+", README, re.MULTILINE):
        header, _, *rows = block.splitlines()
        yield header, [[cell.strip() for cell in row.strip("| ").split(" | ")] for row in rows]


def table(header: str) -> Rows:
    """Return the rows of the one table with this header."""
    (rows,) = (rows for found, rows in tables() if found == header)
    return rows


def code(cell: str) -> list[str]:
    """Return what a cell shows as code."""
    return re.findall(r"`([^`]+)`", cell)


def test_every_table_is_compared_with_the_code() -> None:
    assert {header for header, _ in tables()} == {
        "| setting | default | meaning |",
        "| command | does |",
        "| extra | brings |",
        "| exit code | meaning |",
        "| from | there | here |",
        "| route | does |",
        "| metric | labels | says |",
        "| HTTP | code | says |",
        "| state | means | may become |",
        "| folder | holds | may import |",
        "| package | does what |",
        "| package | why |",
        "| script | does |",
    }


def test_settings_and_their_defaults() -> None:
    shown = {code(key)[0]: yaml.safe_load(code(default)[0]) for key, default, _ in
             table("| setting | default | meaning |")}  # fmt: skip
    assert shown == dict(flat(yaml.safe_load(DEFAULTS.read_text())))


def flat(settings: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, object]]:
    """Yield every setting under its dotted name."""
    for key, value in settings.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def test_the_configuration_example_is_valid(tmp_path: Path) -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)
    path = tmp_path / "config.yaml"
    path.write_text(example)
    settings = load(path, {})
    assert settings.models[0].aliases == ("gpt-4o-mini", "claude-*")


def test_commands_in_their_order() -> None:
    shown = [code(name)[0].removeprefix("mlxctl ") for name, _ in table("| command | does |")]
    assert shown == list(mlxctl.commands)


def test_shared_options_and_their_variables() -> None:
    for option in mlxctl.params:
        for word in (*option.opts, option.envvar):
            assert word is None or word == "--version" or f"`{word}`" in README


def test_what_other_servers_have_is_here_under_names_that_exist() -> None:
    settings = dict(flat(yaml.safe_load(DEFAULTS.read_text())))
    settings |= {f"models.{name}": None for name in ModelEntry.__struct_fields__}
    routes = {code(cell)[0] for cell, _ in table("| route | does |")}
    servers = set()
    for server, _, here in table("| from | there | here |"):
        servers.add(server)
        for word in code(here):
            if word.startswith("mlxctl "):
                assert is_command(word.split()[1:]), word
            elif re.fullmatch(r"[a-z]+\.\w+", word):
                assert word in settings, word
            elif " /" in word:
                assert word in routes, word
    assert len(servers) == 5


def is_command(words: list[str]) -> bool:
    """Tell whether a line, options included, is one of `mlxctl`."""
    command: click.Command = mlxctl
    while words and isinstance(command, click.Group):
        found = command.commands.get(words[0])
        if found is None:
            return False
        command, words = found, words[1:]
    known = {name for option in command.params for name in (*option.opts, *option.secondary_opts)}
    return set(words) <= known


def test_exit_codes() -> None:
    assert [int(number) for number, _ in table("| exit code | meaning |")] == sorted(Exit)


def test_routes() -> None:
    nothing = cast(Any, None)
    app = build_app(load(None, {"MLXD_HOME": "/nowhere"}), nothing, nothing, nothing)
    served = set()
    for route in app.routes:
        assert isinstance(route, Route)
        methods = (route.methods or set()) - {"HEAD"}
        served |= {f"{method} {route.path.replace(':path', '')}" for method in methods}
    shown = [code(cell)[0] for cell, _ in table("| route | does |")]
    assert sorted(shown) == sorted(served)


def test_metrics_and_their_labels() -> None:
    rows = table("| metric | labels | says |")
    assert {code(name)[0]: set(code(labels)) for name, labels, _ in rows} == families()


def leaves() -> list[type[MlxdError]]:
    """Return the errors that are raised: those that the tree ends in, in its order."""
    tree = [
        kind for kind in vars(errors).values() if isinstance(kind, type) and kind is not ConfigError
    ]
    inner = {parent for kind in tree for parent in kind.__bases__}
    return [kind for kind in tree if issubclass(kind, MlxdError) and kind not in inner]


def test_errors_in_the_order_of_the_tree() -> None:
    shown = [(int(status), code(name)[0]) for status, name, _ in table("| HTTP | code | says |")]
    assert shown == [(kind.status, kind.code) for kind in leaves()]


def test_the_lifecycle() -> None:
    rows = table("| state | means | may become |")
    assert [code(state)[0] for state, _, _ in rows] == list(WorkerState)
    shown = {(code(state)[0], after) for state, _, may in rows for after in code(may)}
    assert shown == {(str(old), str(new)) for old, new in LEGAL}


def test_who_may_import_what() -> None:
    rows = table("| folder | holds | may import |")
    shown = {code(folder)[0].rstrip("/"): set(code(allowed)) for folder, _, allowed in rows}
    assert shown == ALLOWED


def test_what_each_package_does() -> None:
    shown = {
        code(package)[0].rstrip("/"): does for package, does in table("| package | does what |")
    }
    assert shown == {
        package: sentence[0].lower() + sentence[1:].rstrip(".")
        for folder in ("supervisor", "workers")
        for init in (ROOT / folder).glob("*/__init__.py")
        if (package := source.name(init.parent))
        if (sentence := (ast.get_docstring(source.parse(init)) or "").partition("\n")[0])
    }


def test_dependencies() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named = {re.split(r"[<>=;\[ ]", text)[0] for text in project["dependencies"]}
    assert [code(name)[0] for name, _ in table("| package | why |")] == sorted(named)


def test_extras() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    listed = {code(name)[0]: brings for name, brings in table("| extra | brings |")}
    assert listed.keys() == extras.keys()
    for name, needed in extras.items():
        if name != "dev":
            own = (re.split(r"[<>=;\[ ]", text)[0] for text in needed)
            assert [
                package for package in own if package not in (*code(listed[name]), "mlxd")
            ] == []
    everything = set(re.findall(r"[a-z-]+", extras["all"][0].removeprefix("mlxd")))
    assert everything == extras.keys() - {"all", "bench", "dev"}


def test_scripts() -> None:
    shown = {code(name)[0] for name, _ in table("| script | does |")}
    runnable = {f"scripts/{path.name}" for path in (ROOT / "scripts").iterdir() if not path.suffix}
    assert shown == {name for name in runnable if (ROOT / name).is_file()}


@pytest.mark.parametrize("path", sorted((ROOT / "scripts").iterdir()), ids=lambda path: path.name)
def test_a_script_is_short_and_says_what_it_does(path: Path) -> None:
    if path.suffix or not path.is_file():
        return
    first, second, *rest = path.read_text().splitlines()
    assert first == "#!/bin/sh -e"
    assert second.startswith("# ")
    assert len(rest) <= 25
    assert path.stat().st_mode & 0o111
