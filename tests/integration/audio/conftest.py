"""One daemon for all tests of models that hear and speak."""

from collections.abc import Iterator
from contextlib import ExitStack

import httpx
import openai
import pytest
from support.daemon import Daemon, Home
from support.tiny_models import folder


@pytest.fixture(scope="session")
def audio_daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """Give a daemon with two models that hear and one that speaks; recordings may last two minutes."""
    with ExitStack() as stack:
        home = Home(tmp_path_factory.mktemp("audio") / "home")
        stack.callback(home.remove)
        models = [
            {"id": "ears", "source": str(folder("whisper"))},
            {"id": "bare", "source": str(folder("whisper_bare"))},
            {"id": "mouth", "source": str(folder("pocket_tts"))},
        ]
        home.configure(
            {
                "models": models,
                "hub": False,
                "media": {"max_audio": "120s"},
                "defaults": {"idle_timeout": "10m"},
            }
        )
        daemon = Daemon(home)
        stack.callback(daemon.end)
        yield daemon


@pytest.fixture(scope="session")
def sdk(audio_daemon: Daemon) -> Iterator[openai.OpenAI]:
    """Give the official client."""
    url = f"{audio_daemon.url}/v1"
    with openai.OpenAI(base_url=url, api_key="none", max_retries=0, timeout=100) as client:
        yield client


@pytest.fixture(scope="session")
def http(audio_daemon: Daemon) -> Iterator[httpx.Client]:
    """Give a client for what the official one does not let through."""
    with httpx.Client(base_url=audio_daemon.url, timeout=100) as client:
        yield client
