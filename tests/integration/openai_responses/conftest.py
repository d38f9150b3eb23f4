"""A worker's app over scripted tokens, served over real HTTP."""

from collections.abc import AsyncIterator

import httpx
import openai
import pytest
from support.scripted_app import client, script

__all__ = ["client", "script", "sdk"]


@pytest.fixture
async def sdk(client: httpx.AsyncClient) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(
        base_url=str(client.base_url.join("/v1")), api_key="none", max_retries=0
    ) as sdk:
        yield sdk
