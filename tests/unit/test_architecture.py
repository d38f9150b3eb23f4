"""Who may import whom, what loads with the supervisor, and how long a file may be."""

import ast
import subprocess
import sys

import pytest
from support import source
from support.source import ALLOWED, MLX, WEB

PURE = (
    "budget/grants",
    "budget/needs",
    "lifecycle/events",
    "lifecycle/lifecycle",
    "lifecycle/watchdog",
    "pressure/relief",
    "scheduling/eviction",
    "scheduling/plan",
    "scheduling/room",
    "scheduling/scheduler",
    "scheduling/turns",
    "scheduling/waits",
    "urgency",
)
"""Files of the supervisor that decide and do nothing else."""
PURE_STDLIB = {
    "bisect", "collections", "dataclasses", "enum", "functools", "itertools", "math", "operator", "re",
    "typing",
}  # fmt: skip

CLI_TOP_LEVEL = {
    "click", "msgspec", "mlxd.config", "mlxd.protocol", "mlxd.supervisor.cli", "mlxd.supervisor.runfile",
}  # fmt: skip

MAC_ONLY = {
    "device_info", "metal", "set_cache_limit", "set_memory_limit", "set_wired_limit",
    "proc_pid_rusage", "phys_footprint", "host_statistics64", "sysctlbyname",
}  # fmt: skip
"""Names of calls that only Metal or macOS answers."""

LONGEST_FILE = 300
LONGEST_TEST = 450
"""Lists of cases read on without being kept in mind."""
LONGER_FOR_A_REASON: dict[str, str] = {
    "protocol/errors.py": "one tree of small classes, shown whole at its top",
}
"""File -> why it may be longer."""
PROSE = "scripts/models/"
"""What the demo model learns: sentences, not code."""
LONGEST_FUNCTION = 60

BANNED_WORDS = {"manager", "helper", "helpers", "util", "utils", "base", "common", "misc"}


def breaches(folder: str, tree: ast.AST) -> list[str]:
    """Return what a file of `folder` imports and may not."""
    allowed = ALLOWED[folder]
    return [
        module
        for module in source.imports(tree)
        if not source.is_stdlib(module) and not source.under(module, allowed)
    ]


@pytest.mark.parametrize("folder", source.FOLDERS)
def test_a_folder_imports_only_what_the_design_allows(folder: str) -> None:
    found = {
        source.name(path): bad
        for path in source.product_files()
        if source.name(path).startswith(folder + "/")
        if (bad := breaches(folder, source.parse(path)))
    }
    assert found == {}


@pytest.mark.parametrize(
    ("folder", "line"),
    [
        ("supervisor", "import mlxd.workers.main"),
        ("supervisor", "from mlxd import workers"),
        ("supervisor", "def later():\n    from mlx import core"),
        ("supervisor", "import numpy as np"),
        ("workers", "from mlxd.supervisor.clock import Clock"),
        ("workers", "from mlxd.config import settings"),
        ("workers", "import torch"),
        ("protocol", "import yaml"),
        ("config", "from mlxd.supervisor import pool"),
        ("config", "from ..supervisor import pool"),
        ("protocol", "from protocol import sse"),
    ],
)
def test_the_rule_sees_a_planted_breach(folder: str, line: str) -> None:
    assert breaches(folder, ast.parse(line))


@pytest.mark.parametrize("module", PURE)
def test_a_pure_decision_imports_nothing_that_could_act(module: str) -> None:
    path = source.ROOT / "supervisor" / f"{module}.py"
    siblings = {f"mlxd.supervisor.{name.replace('/', '.')}" for name in PURE}
    allowed = PURE_STDLIB | {"mlxd.protocol"} | siblings
    found = [name for name in source.imports(source.parse(path)) if not source.under(name, allowed)]
    assert found == []


def test_only_the_command_line_imports_click_only_clients_httpx_and_one_file_each_the_rest() -> (
    None
):
    users: dict[str, set[str]] = {
        "click": set(),
        "httptools": set(),
        "httpx": set(),
        "huggingface_hub": set(),
        "opentelemetry": set(),
    }
    for path in source.product_files():
        for module in source.imports(source.parse(path)):
            if (top := module.partition(".")[0]) in users:
                users[top].add(source.name(path))
    assert all(name.startswith("supervisor/cli/") for name in users["click"])
    assert users["httptools"] <= {"supervisor/front/worker_connection.py"}
    assert users["httpx"] <= {"supervisor/client.py"}
    assert users["huggingface_hub"] <= {"supervisor/downloads/hub.py"}
    assert users["opentelemetry"] <= {"supervisor/tracing/export.py"}


def test_templates_and_dialects_know_no_mlx() -> None:
    found = {
        source.name(path): heavy
        for folder in ("api", "chat")
        for path in (source.ROOT / "workers" / folder).rglob("*.py")
        if (heavy := [m for m in source.imports(source.parse(path)) if source.under(m, MLX)])
    }
    assert found == {}


def test_nothing_but_the_command_line_imports_the_command_line() -> None:
    users = {
        source.name(path)
        for path in source.product_files()
        for module in source.imports(source.parse(path))
        if source.under(module, {"mlxd.supervisor.cli"})
    }
    assert all(name.startswith("supervisor/cli/") for name in users)


def test_the_command_line_imports_heavy_modules_only_inside_functions() -> None:
    found = {
        source.name(path): heavy
        for path in (source.ROOT / "supervisor" / "cli").rglob("*.py")
        if (
            heavy := [
                module
                for module in source.top_level_imports(source.parse(path))
                if not source.is_stdlib(module) and not source.under(module, CLI_TOP_LEVEL)
            ]
        )
    }
    assert found == {}


def loaded_after(statement: str) -> set[str]:
    """Return the modules a fresh interpreter holds after the statement."""
    code = f"{statement}\nimport sys\nprint('\\n'.join(sys.modules))"
    command = [sys.executable, "-P", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    return set(done.stdout.split())


def test_importing_the_supervisor_loads_no_mlx_and_no_worker() -> None:
    loaded = loaded_after(
        "import mlxd.supervisor.app, mlxd.supervisor.house, mlxd.supervisor.daemon, mlxd.supervisor.scheduling.pool"
    )
    heavy = MLX | {
        "torch",
        "huggingface_hub",
        "fastapi",
        "opentelemetry",
        "pydantic",
        "requests",
        "mlxd.workers",
    }
    assert {module for module in loaded if source.under(module, heavy)} == set()


def test_importing_the_command_line_loads_no_web_stack() -> None:
    loaded = loaded_after("import mlxd.supervisor.cli.root")
    heavy = (
        MLX
        | WEB
        | {"httptools", "httpx", "psutil", "yaml", "asyncio", "http.client", "ssl", "mlxd.workers"}
    )
    assert {module for module in loaded if source.under(module, heavy)} == set()


def mac_only_names(tree: ast.AST) -> set[str]:
    """Return the calls in a file that only Metal or macOS answers; prose does not count."""
    attributes = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    return (attributes | names) & MAC_ONLY


def test_what_only_a_mac_answers_sits_in_at_most_three_files() -> None:
    found = {
        source.name(path): names
        for path in source.product_files()
        if (names := mac_only_names(source.parse(path)))
    }
    assert len(found) <= 3, found


def test_no_file_is_longer_than_a_reader_holds_in_mind() -> None:
    too_long = {
        name: length
        for path in source.all_files()
        if not (name := source.name(path)).startswith(PROSE)
        if (length := len(path.read_text().splitlines()))
        > (LONGEST_TEST if name.startswith("tests/") else LONGEST_FILE)
    }
    assert too_long.keys() == LONGER_FOR_A_REASON.keys(), too_long


def test_no_function_is_longer_than_a_screen() -> None:
    found = {
        f"{source.name(path)}:{node.name}": length
        for path in source.product_files()
        for node in ast.walk(source.parse(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if (length := (node.end_lineno or node.lineno) - node.lineno + 1) > LONGEST_FUNCTION
    }
    assert found == {}


def test_a_file_is_named_after_the_one_thing_it_holds() -> None:
    found = [
        source.name(path) for path in source.all_files() if BANNED_WORDS & set(path.stem.split("_"))
    ]
    assert found == []


def test_every_public_thing_says_what_it_is() -> None:
    found = []
    for path in source.product_files():
        tree = source.parse(path)
        if ast.get_docstring(tree) is None:
            found.append(source.name(path))
        for node in tree.body:
            if not isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            if not node.name.startswith("_") and ast.get_docstring(node) is None:
                found.append(f"{source.name(path)}:{node.name}")
    assert found == []
