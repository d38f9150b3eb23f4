"""A worker's app over scripted tokens, served over real HTTP."""

from collections.abc import AsyncIterator, Iterator

import httpx
import openai
import pytest
from support.app_server import serving
from support.openai_responses_calls import WITHIN
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


@pytest.fixture
async def sdk(client: httpx.AsyncClient) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(
        base_url=str(client.base_url.join("/v1")), api_key="none", max_retries=0
    ) as sdk:
        yield sdk
