"""One daemon with the models that see, and a text model beside them."""

from collections.abc import Iterator
from contextlib import ExitStack

import openai
import pytest
from support import tiny_models
from support.daemon import Daemon, Home
from support.seeing import KINDS


@pytest.fixture(scope="session")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """Give a daemon whose models are named as their kinds."""
    with ExitStack() as stack:
        home = Home(tmp_path_factory.mktemp("seeing") / "home", {})
        stack.callback(home.remove)
        models = [{"id": kind, "source": str(tiny_models.folder(kind))} for kind in KINDS]
        home.configure({"models": models, "memory": {"max_loaded": 2}})
        daemon = Daemon(home)
        stack.callback(daemon.end)
        yield daemon


@pytest.fixture
def client(daemon: Daemon) -> Iterator[openai.OpenAI]:
    """Give the official client."""
    with openai.OpenAI(base_url=f"{daemon.url}/v1", api_key="none", max_retries=0) as client:
        yield client
