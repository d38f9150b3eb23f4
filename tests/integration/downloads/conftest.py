"""Fixtures of the tests that download: a hub in this process, and a daemon that knows it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support import hub_server
from support.daemon import Daemon, Home
from support.hub_server import HubServer
from support.model_repo import REPO, model_files


@pytest.fixture
def hub() -> Iterator[HubServer]:
    """Give a hub with one small model that really runs."""
    with hub_server.serving() as hub:
        hub.add(REPO, model_files())
        yield hub


@pytest.fixture
def alone(hub: HubServer, tmp_path: Path) -> Iterator[Home]:
    """Give a home in which no daemon runs."""
    home = Home(tmp_path / "home", dict(hub.env))
    yield home
    home.remove()


@pytest.fixture
def served(alone: Home) -> Iterator[Daemon]:
    """Give a daemon of its own that pulls from the hub."""
    alone.configure({"demo": False})
    daemon = Daemon(alone)
    yield daemon
    daemon.end()
