"""One daemon for all tests of models that draw."""

from collections.abc import Iterator
from contextlib import ExitStack

import httpx
import openai
import pytest
from support.daemon import Daemon, Home
from support.tiny_models import folder


@pytest.fixture(scope="session")
def drawing_daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """Give a daemon with three models that draw, one of them distilled to do without guidance, and one that writes."""
    with ExitStack() as stack:
        home = Home(tmp_path_factory.mktemp("images") / "home")
        stack.callback(home.remove)
        models = [
            {"id": "brush", "source": str(folder("z_image"))},
            {"id": "turbo", "source": str(folder("z_image_turbo"))},
            {"id": "moss", "source": str(folder("moss_image"))},
            {"id": "pen", "source": str(folder("qwen3"))},
        ]
        home.configure(
            {
                "models": models,
                "hub": False,
                "media": {"max_generated_pixels": 192 * 192, "max_image": "200KB"},
                "defaults": {"idle_timeout": "10m"},
            }
        )
        daemon = Daemon(home)
        stack.callback(daemon.end)
        yield daemon


@pytest.fixture(scope="session")
def sdk(drawing_daemon: Daemon) -> Iterator[openai.OpenAI]:
    """Give the official client."""
    url = f"{drawing_daemon.url}/v1"
    with openai.OpenAI(base_url=url, api_key="none", max_retries=0, timeout=100) as client:
        yield client


@pytest.fixture(scope="session")
def http(drawing_daemon: Daemon) -> Iterator[httpx.Client]:
    """Give a client for what the official one does not let through."""
    with httpx.Client(base_url=drawing_daemon.url, timeout=100) as client:
        yield client
