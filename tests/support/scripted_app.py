"""Fixtures for the tests of a dialect: a worker's app over scripted tokens, served over real HTTP."""

from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
from support.app_server import serving
from support.scripted_engine import ScriptedEngine
from support.tokenizers import CHATML, byte_tokenizer

from mlxd.workers.api.app import build

WITHIN = 60.0


@pytest.fixture
def script() -> Iterator[ScriptedEngine]:
    """Give the engine, which says hello unless told otherwise."""
    tokenizer = byte_tokenizer(CHATML)
    engine = ScriptedEngine(tokenizer, lambda request: tokenizer.encode("Hello, wörld 🙂"))
    yield engine
    engine.stop()


@pytest.fixture
async def client(script: ScriptedEngine) -> AsyncIterator[httpx.AsyncClient]:
    """Give who asks the app."""
    app = build(script.model, script.engine)
    async with serving(app) as server:
        async with httpx.AsyncClient(base_url=server.url, timeout=WITHIN) as client:
            yield client
    app.state.pipeline.close()
