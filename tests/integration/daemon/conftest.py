"""One daemon for all that neither count its workers nor end them."""

from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
from support import daemon_calls
from support.daemon import Daemon, Home
from support.daemon_calls import model


@pytest.fixture(scope="session")
def trio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """Give a daemon with three models of three architectures, under ids, aliases and patterns."""
    home = Home(tmp_path_factory.mktemp("trio") / "home")
    home.configure(
        {
            "models": [
                model("org/qwen", "qwen3", aliases=["gpt-4o-mini", "gpt-*"]),
                model("llama", "llama", aliases=["claude-*", "small"], max_batch=1),
                model("gemma", "gemma3", aliases=["claude-haiku-*"]),
            ],
            "demo": False,
            "defaults": {"idle_timeout": "never"},
        }
    )
    daemon = None
    try:
        daemon = Daemon(home)
        yield daemon
    finally:
        if daemon is not None:
            daemon.end()
        home.remove()


@pytest.fixture
async def asker(trio: Daemon) -> AsyncIterator[httpx.AsyncClient]:
    """Give a client of the daemon with three models."""
    async with daemon_calls.client(trio) as found:
        yield found
