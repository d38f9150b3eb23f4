"""The official client reads what we write."""

from typing import Any

import openai
import pytest
from support.openai_calls import CALL, TOOL, USER
from support.scripted_engine import ScriptedEngine

from mlxd.protocol.errors import WorkerDied


async def test_the_official_client_reads_answers_streams_and_errors(
    sdk: openai.AsyncOpenAI, script: ScriptedEngine
) -> None:
    script.says(f"<think>hm</think>On it.\n{CALL}")
    tools: Any = [TOOL]
    messages: Any = [USER]
    whole = await sdk.chat.completions.create(model="m", messages=messages, tools=tools)
    assert whole.choices[0].message.tool_calls
    async with sdk.chat.completions.stream(
        model="m", messages=messages, tools=tools, stream_options={"include_usage": True}
    ) as stream:
        async for _ in stream:
            pass
        final = await stream.get_final_completion()
    assert final.choices[0].message.content == whole.choices[0].message.content == "On it."
    assert final.choices[0].finish_reason == "tool_calls"
    assert final.usage == whole.usage
    with pytest.raises(openai.BadRequestError) as caught:
        await sdk.chat.completions.create(model="m", messages=messages, temperature=-1)
    assert caught.value.param == "temperature"
    script.fail_after = (2, WorkerDied("gone"))
    with pytest.raises(openai.APIError, match="gone"):
        async for _ in await sdk.chat.completions.create(model="m", messages=messages, stream=True):
            pass
    completion = sdk.completions.create(model="m", prompt="x")
    with pytest.raises(openai.InternalServerError):
        await completion
