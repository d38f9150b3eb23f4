"""What is installed is what the folders hold, and nothing heavy comes along."""

import subprocess
import sys
import tarfile
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from support.source import FOLDERS, ROOT

from mlxd.supervisor.web import page

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
NEVER = {
    "torch",
    "torchvision",
    "torchaudio",
    "fastapi",
    "opencv-python",
    "opencv-python-headless",
    "tensorflow",
}
DEMO_MODEL_LIMIT = 4_000_000


def test_every_folder_with_code_is_a_listed_package() -> None:
    folders = {
        ".".join(("mlxd", *init.parent.relative_to(ROOT).parts))
        for folder in FOLDERS
        for init in (ROOT / folder).rglob("__init__.py")
    }
    assert set(PROJECT["tool"]["setuptools"]["packages"]) == folders


def test_every_folder_with_code_has_an_init() -> None:
    without = {
        path.parent.relative_to(ROOT).as_posix()
        for folder in FOLDERS
        for path in (ROOT / folder).rglob("*.py")
        if not (path.parent / "__init__.py").exists()
    }
    assert without == set()


def test_each_package_says_that_it_is_typed() -> None:
    assert [folder for folder in FOLDERS if not (ROOT / folder / "py.typed").exists()] == []


def test_the_types_of_every_folder_of_tests_are_checked() -> None:
    folders = {
        path.parent.relative_to(ROOT / "tests").parts for path in ROOT.glob("tests/*/**/*.py")
    }
    checked = set(PROJECT["tool"]["mypy"]["packages"])
    assert {parts[0] for parts in folders} <= checked


def closure(names: set[str]) -> set[str]:
    """Return everything that installing these distributions installs, as it is installed here."""
    found: set[str] = set()
    waiting = [(name, frozenset[str]()) for name in names]
    seen = set()
    while waiting:
        name, extras = waiting.pop()
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        found.add(name)
        for text in metadata.requires(name) or []:
            wanted = Requirement(text)
            if wanted.marker is None or any(
                wanted.marker.evaluate({"extra": extra}) for extra in extras | {""}
            ):
                waiting.append((wanted.name.lower(), frozenset(wanted.extras)))
    return found


def test_the_base_install_pulls_nothing_heavy() -> None:
    installed = closure({"mlxd"})
    assert {"mlx", "mlx-lm", "starlette"} <= installed
    assert installed & (NEVER | {"opentelemetry-api", "requests"}) == set()


def test_what_traces_need_pulls_nothing_heavy() -> None:
    needed = {
        Requirement(text).name for text in PROJECT["project"]["optional-dependencies"]["tracing"]
    }
    installed = closure(needed)
    assert "opentelemetry-proto" in installed
    assert installed & (NEVER | {"pydantic", "grpcio"}) == set()


def test_the_package_in_use_is_this_checkout() -> None:
    import mlxd.protocol.errors

    assert Path(mlxd.protocol.errors.__file__).resolve() == ROOT / "protocol" / "errors.py"


@pytest.mark.slow  # fetches setuptools
@pytest.mark.timeout(300)
def test_the_wheel_built_from_the_sdist_holds_only_mlxd_with_its_data(tmp_path: Path) -> None:
    command = [sys.executable, "-P", "-m", "build", "--outdir", str(tmp_path), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    (sdist,) = tmp_path.glob("*.tar.gz")
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {name.split("/")[0].partition("-")[0] for name in names} == {"mlxd"}
    for folder in FOLDERS:
        for path in [*(ROOT / folder).rglob("*.py"), ROOT / folder / "py.typed"]:
            assert f"mlxd/{path.relative_to(ROOT).as_posix()}" in names
    assert "mlxd/config/defaults.yaml" in names
    assert {f"mlxd/supervisor/web/{name}" for name in page.FILES} <= names
    assert {"config.json", "tokenizer.json"} <= demo_model(names)
    with tarfile.open(sdist) as archive:
        assert any(name.endswith("/config/defaults.yaml") for name in archive.getnames())


def demo_model(names: set[str]) -> set[str]:
    """Return the names of the demo model's files in the wheel."""
    prefix = "mlxd/config/demo_model/"
    return {name.removeprefix(prefix) for name in names if name.startswith(prefix)}


def test_the_demo_model_is_small_enough_to_ship() -> None:
    files = list((ROOT / "config" / "demo_model").iterdir())
    assert any(path.suffix == ".safetensors" for path in files)
    assert sum(path.stat().st_size for path in files) <= DEMO_MODEL_LIMIT
