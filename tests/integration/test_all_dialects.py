"""The same conversation gives the same tokens in every dialect, and one alias serves them all."""

import json
import urllib.error
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from conftest import RunDaemon
from support.app_server import serving
from support.daemon import Daemon
from support.dialects import CONTINUING, CONVERSING, SEEDLESS, Answer, Said, Talk, Wish
from support.scripted_engine import ScriptedEngine
from support.tokenizers import CHATML, byte_tokenizer

from mlxd.config import demo
from mlxd.workers.api.app import build

BRIEF = Said("system", "Be brief.")
COUNT: Talk = [Said("user", "Count to 8")]
TALK: Talk = [BRIEF, Said("user", "Hello!"), Said("assistant", "Hello!"), Said("user", "What is mlxd?")]  # fmt: skip
ASKED: Talk = [Said("user", "What is the weather in Paris?")]
CALLED: Talk = [*ASKED, Said("assistant", city="Paris"), Said("tool", "18 degrees and sunny")]
"""What the demo model knows how to go on from."""


def rendered(talk: Talk) -> str:
    """Return a conversation without tools as the demo model's template writes it."""
    tokenizer = _tokenizer()
    messages = [{"role": said.role, "content": said.text} for said in talk]
    text = tokenizer.apply_chat_template(
        messages, tokenize=False, add_generation_prompt=True, enable_thinking=False
    )
    return str(text)


def _tokenizer() -> Any:
    folder = demo.find()
    assert folder is not None
    transformers = __import__("transformers")
    return transformers.AutoTokenizer.from_pretrained(folder.path)


def ask(daemon: Daemon, dialect: str, talk: Talk, wish: Wish) -> Answer:
    """Return what a dialect answers."""
    path, said, read = CONVERSING[dialect]
    return read(daemon.post(path, {"model": "demo", **said(talk, wish)}))


@pytest.mark.parametrize("talk", [COUNT, TALK], ids=["count", "talk"])
@pytest.mark.parametrize(
    "wish", [Wish(), Wish(limit=5), Wish(temperature=1.0, seed=7)], ids=["greedy", "cut", "seeded"]
)
def test_a_conversation_gives_the_same_tokens_in_every_dialect(
    shared_daemon: Daemon, talk: Talk, wish: Wish
) -> None:
    speaking = [name for name in CONVERSING if wish.seed is None or name not in SEEDLESS]
    told = {name: ask(shared_daemon, name, talk, wish) for name in speaking}
    prompt = rendered(talk)
    for name, (path, said, read) in CONTINUING.items():
        told[name] = read(shared_daemon.post(path, {"model": "demo", **said(prompt, wish)}))
    assert len(set(told.values())) == 1, told
    assert told["chat"].text
    assert told["chat"].end == ("length" if wish.limit == 5 else "stop")


@pytest.mark.parametrize("talk", [ASKED, CALLED], ids=["asked", "answered"])
def test_a_call_and_what_follows_it_are_the_same_in_every_dialect(
    shared_daemon: Daemon, talk: Talk
) -> None:
    told = {name: ask(shared_daemon, name, talk, Wish(tools=True)) for name in CONVERSING}
    assert len(set(told.values())) == 1, told
    answer = told["chat"]
    if talk is ASKED:
        assert (answer.end, [name for name, _ in answer.calls]) == ("tool_calls", ["get_weather"])
    else:
        assert (answer.end, answer.calls) == ("stop", ())


@pytest.fixture
def script() -> Iterator[ScriptedEngine]:
    tokenizer = byte_tokenizer(CHATML)
    engine = ScriptedEngine(tokenizer, lambda request: tokenizer.encode("ok"))
    yield engine
    engine.stop()


async def test_a_long_tool_loop_makes_the_same_request_of_the_engine_in_every_dialect(
    script: ScriptedEngine,
) -> None:
    loop = [BRIEF, *ASKED]
    for turn in range(3):
        loop += [Said("assistant", f"Step {turn}.", "Paris"), Said("tool", str(turn))]
    wish = Wish(temperature=0.5, tools=True)
    app = build(script.model, script.engine)
    async with serving(app) as server, httpx.AsyncClient(base_url=server.url, timeout=60) as client:
        for path, said, _ in CONVERSING.values():
            response = await client.post(path, json={"model": "m", **said([*loop], wish)})
            assert response.status_code == 200, response.text
    app.state.pipeline.close()
    first, *others = script.seen
    text = str(script.tokenizer.decode(list(first.prompt)))
    assert text.count("<|im_start|>tool") == 3
    for other in others:
        assert other.prompt == first.prompt, script.tokenizer.decode(list(other.prompt))
        assert other.sampling == first.sampling
        assert (other.max_tokens, other.ends) == (first.max_tokens, first.ends)


def test_one_alias_answers_hosted_names_in_every_dialect_and_list(
    running_daemon: RunDaemon,
) -> None:
    folder = demo.find()
    assert folder is not None
    entry = {"id": "mine", "source": str(folder.path), "aliases": ["claude-*", "gpt-*"]}
    daemon = running_daemon({"models": [entry], "demo": False, "hub": False})
    for name in ("claude-opus-4-1", "gpt-5-codex", "claude-haiku:latest"):
        for path, said, _ in CONVERSING.values():
            told = daemon.post(path, {"model": name, **said(COUNT, Wish(limit=2))})
            assert told["model"] == "mine"
        for path, write, _ in CONTINUING.values():
            told = daemon.post(path, {"model": name, **write("Hello", Wish(limit=2))})
            assert told["model"] == "mine"
        assert daemon.get(f"/v1/models/{name}")["id"] == "mine"
        assert daemon.get(f"/anthropic/v1/models/{name}")["id"] == "mine"
        assert daemon.post("/api/show", {"model": name})["details"]["family"] == "qwen3"
    assert len(daemon.ps()) == 1
    (model,) = daemon.get("/v1/models")["data"]
    assert (model["id"], model["aliases"]) == ("mine", ["claude-*", "gpt-*"])
    with pytest.raises(urllib.error.HTTPError) as caught:
        daemon.post("/api/chat", {"model": "llama3.2"})
    assert json.load(caught.value)["code"] == "model_not_found"
