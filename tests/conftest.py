"""Fixtures of all tests: a clean environment, homes, daemons."""

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol

import hypothesis
import pytest
from support.daemon import Daemon, Home

# Two cores shared with other work make any deadline per example a coin toss; the test's own timeout bounds it.
hypothesis.settings.register_profile("mlxd", deadline=None, print_blob=True)
hypothesis.settings.load_profile("mlxd")


class RunDaemon(Protocol):
    """Start one more daemon; the fixture that gave it stops it."""

    def __call__(
        self, config: Mapping[str, Any] | str = "", *, env: Mapping[str, str] | None = None
    ) -> Daemon:
        """Start `mlxd` with this configuration and environment."""
        ...


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the developer's own settings out of the tests."""
    for name in list(os.environ):
        if name.startswith(("MLXD_", "HF_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("NO_COLOR", "1")


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    """Give a home without a daemon; one that the test started in it is stopped."""
    home = Home(tmp_path / "home")
    yield home
    home.ctl("stop", "--force")
    home.remove()


@pytest.fixture
def running_daemon(tmp_path: Path) -> Iterator[RunDaemon]:
    """Give a function that starts daemons, each in a home of its own."""
    with ExitStack() as stack:
        yield _starter(tmp_path, stack)


@pytest.fixture(scope="session")
def shared_daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """Give the one daemon with the demo model that all tests may use which neither stop it nor count its workers."""
    with ExitStack() as stack:
        yield _starter(tmp_path_factory.mktemp("shared"), stack)()


def _starter(folder: Path, stack: ExitStack) -> RunDaemon:
    started = 0

    def start(
        config: Mapping[str, Any] | str = "", *, env: Mapping[str, str] | None = None
    ) -> Daemon:
        nonlocal started
        started += 1
        home = Home(folder / f"daemon-{started}", dict(env or {}))
        stack.callback(home.remove)
        home.configure(config)
        daemon = Daemon(home)
        stack.callback(daemon.end)
        return daemon

    return start
