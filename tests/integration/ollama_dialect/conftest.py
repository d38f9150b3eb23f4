"""A worker's app over scripted tokens, served over real HTTP."""

from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
from support.app_server import serving
from support.ollama_calls import WITHIN
from support.scripted_engine import ScriptedEngine
from support.tokenizers import CHATML, byte_tokenizer

from mlxd.workers.api.app import build


@pytest.fixture
def script() -> Iterator[ScriptedEngine]:
    tokenizer = byte_tokenizer(CHATML)
    engine = ScriptedEngine(tokenizer, lambda request: tokenizer.encode("Hello, wörld 🙂"))
    yield engine
    engine.stop()


@pytest.fixture
async def client(script: ScriptedEngine) -> AsyncIterator[httpx.AsyncClient]:
    app = build(script.model, script.engine)
    async with serving(app) as server:
        async with httpx.AsyncClient(base_url=server.url, timeout=WITHIN) as client:
            yield client
    app.state.pipeline.close()
