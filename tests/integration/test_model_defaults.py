"""What a model's entry sets is what a request gets that leaves it out, in every dialect; what it says wins."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any

import httpx
import msgspec
import pytest
from conftest import RunDaemon
from support.app_server import serving
from support.openai_calls import WITHIN
from support.scripted_engine import ScriptedEngine
from support.tokenizers import CHATML, byte_tokenizer

from mlxd.config import demo
from mlxd.protocol.generation import SamplingDefaults
from mlxd.workers.api.app import build
from mlxd.workers.engine.request import Sampling

TALK = [{"role": "user", "content": "Hi"}]
DEFAULTS = SamplingDefaults(
    temperature=0.3,
    top_p=0.9,
    top_k=7,
    min_p=0.05,
    repetition_penalty=1.1,
    presence_penalty=0.5,
    frequency_penalty=0.25,
    max_tokens=3,
    seed=11,
)
SET = Sampling(
    temperature=0.3,
    top_p=0.9,
    top_k=7,
    min_p=0.05,
    repetition_penalty=1.1,
    presence_penalty=0.5,
    frequency_penalty=0.25,
    seed=11,
)
BARE: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"messages": TALK},
    "/v1/completions": {"prompt": "Hi"},
    "/v1/responses": {"input": "Hi"},
    "/v1/messages": {"messages": TALK, "max_tokens": 3},
    "/api/chat": {"messages": TALK, "stream": False},
    "/api/generate": {"prompt": "Hi", "stream": False},
}
CHATTING = [path for path in BARE if path != "/v1/completions"]


@pytest.fixture
def script() -> Iterator[ScriptedEngine]:
    tokenizer = byte_tokenizer(CHATML)
    engine = ScriptedEngine(tokenizer, lambda request: tokenizer.encode("Hello, world"))
    yield engine
    engine.stop()


@pytest.fixture
async def client(script: ScriptedEngine) -> AsyncIterator[httpx.AsyncClient]:
    spec = msgspec.structs.replace(script.model.spec, sampling=DEFAULTS, system_prompt="Be kind.")
    app = build(replace(script.model, spec=spec), script.engine)
    async with serving(app) as server:
        async with httpx.AsyncClient(base_url=server.url, timeout=WITHIN) as client:
            yield client
    app.state.pipeline.close()


async def asked(
    client: httpx.AsyncClient, script: ScriptedEngine, path: str, **extra: object
) -> tuple[Sampling, int, str]:
    """Return what a request made of the engine: sampling, length, prompt."""
    response = await client.post(path, json={"model": "m", **BARE[path], **extra})
    assert response.status_code == 200, response.text
    seen = script.seen[-1]
    return seen.sampling, seen.max_tokens, str(script.tokenizer.decode(list(seen.prompt)))


@pytest.mark.parametrize("path", BARE)
async def test_a_field_that_is_left_out_or_null_is_what_the_entry_says(
    client: httpx.AsyncClient, script: ScriptedEngine, path: str
) -> None:
    assert (await asked(client, script, path))[:2] == (SET, 3)
    assert (await asked(client, script, path, temperature=None, top_p=None))[0] == SET


@pytest.mark.parametrize("path", BARE)
async def test_what_a_request_says_wins_and_nothing_is_something(
    client: httpx.AsyncClient, script: ScriptedEngine, path: str
) -> None:
    said: dict[str, Any] = {"temperature": 0, "top_p": 1, "top_k": 0}
    if path.startswith("/api"):
        said |= {"min_p": 0, "repeat_penalty": 1, "presence_penalty": 0, "frequency_penalty": 0}
        said |= {"seed": -1, "num_predict": -1}
        body: dict[str, Any] = {"options": said}
    else:
        said |= {"min_p": 0, "repetition_penalty": 1, "presence_penalty": 0}
        said |= {"frequency_penalty": 0, "seed": 0, "max_tokens": 5}
        body = said
    sampling, limit, _ = await asked(client, script, path, **body)
    if path == "/v1/messages":  # it has no words for the others
        assert sampling == replace(SET, temperature=0, top_p=1, top_k=0)
        assert limit == 5
    elif path.startswith("/api"):
        assert sampling == Sampling(temperature=0)
        assert limit > 1000
    else:
        assert sampling == Sampling(temperature=0, seed=0)
        assert limit == 5


async def test_a_window_of_no_tokens_switches_the_entrys_penalties_off_too(
    client: httpx.AsyncClient, script: ScriptedEngine
) -> None:
    sampling, _, _ = await asked(client, script, "/api/chat", options={"repeat_last_n": 0})
    none = {"repetition_penalty": 1.0, "presence_penalty": 0.0, "frequency_penalty": 0.0}
    assert sampling == replace(SET, **none)  # type: ignore[arg-type]


@pytest.mark.parametrize("path", CHATTING)
async def test_a_conversation_without_a_system_message_gets_the_entrys(
    client: httpx.AsyncClient, script: ScriptedEngine, path: str
) -> None:
    _, _, prompt = await asked(client, script, path)
    assert prompt.startswith("<|im_start|>system\nBe kind.<|im_end|>")
    assert script.seen[-1].system > 0


@pytest.mark.parametrize(
    ("path", "own"),
    [
        ("/v1/chat/completions", {"messages": [{"role": "developer", "content": "Own."}, *TALK]}),
        ("/v1/chat/completions", {"messages": [{"role": "system", "content": ""}, *TALK]}),
        ("/v1/responses", {"instructions": "Own."}),
        ("/v1/messages", {"system": "Own."}),
        ("/api/chat", {"messages": [{"role": "system", "content": "Own."}, *TALK]}),
        ("/api/generate", {"system": "Own."}),
    ],
)
async def test_a_conversation_with_one_of_its_own_keeps_it_alone(
    client: httpx.AsyncClient, script: ScriptedEngine, path: str, own: dict[str, Any]
) -> None:
    _, _, prompt = await asked(client, script, path, **own)
    assert "Be kind." not in prompt
    assert prompt.count("<|im_start|>system") == 1


async def test_a_plain_prompt_gets_no_system_message(
    client: httpx.AsyncClient, script: ScriptedEngine
) -> None:
    assert (await asked(client, script, "/v1/completions"))[2] == "Hi"


async def test_a_response_tells_what_it_was_sampled_with(client: httpx.AsyncClient) -> None:
    body = {"model": "m", **BARE["/v1/responses"]}
    told = (await client.post("/v1/responses", json=body)).json()
    assert (told["temperature"], told["top_p"]) == (0.3, 0.9)
    told = (await client.post("/v1/responses", json=body | {"temperature": 0})).json()
    assert (told["temperature"], told["top_p"]) == (0.0, 0.9)


def test_an_entry_reaches_its_worker_and_counts_agree(running_daemon: RunDaemon) -> None:
    folder = demo.find()
    assert folder is not None
    entry = {
        "id": "mine",
        "source": str(folder.path),
        "sampling": {"temperature": 0, "max_tokens": 4},
        "system_prompt": "You are mlxd.",
    }
    daemon = running_daemon({"models": [entry], "demo": False, "hub": False})
    body = {"model": "mine", "messages": [{"role": "user", "content": "Count to 8"}]}
    counted = daemon.post("/v1/messages/count_tokens", body)["input_tokens"]
    first = daemon.post("/v1/messages", body | {"max_tokens": 2})["usage"]
    assert first["input_tokens"] + first["cache_read_input_tokens"] == counted
    whole = daemon.post("/v1/chat/completions", body)
    assert whole["usage"]["completion_tokens"] == 4
    told = body | {"messages": [{"role": "system", "content": "You are mlxd."}, *body["messages"]]}
    assert daemon.post("/v1/messages/count_tokens", told)["input_tokens"] == counted
    assert daemon.post("/v1/chat/completions", told)["choices"] == whole["choices"]
