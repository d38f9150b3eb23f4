"""What happens to a conversation that is too long, as its model's entry says: refused, cut or summarized."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import httpx
import msgspec
import pytest
from conftest import RunDaemon
from support.app_server import serving
from support.deadline import eventually
from support.openai_calls import WITHIN
from support.scripted_engine import ScriptedEngine
from support.tokenizers import CHATML, byte_tokenizer

from mlxd.config import demo
from mlxd.protocol.control import ACCOUNT, Used
from mlxd.protocol.errors import WorkerDied
from mlxd.protocol.generation import Overflow
from mlxd.workers import long_text
from mlxd.workers.api.app import build
from mlxd.workers.engine.request import GenerateRequest

WINDOW = 2000
"""Bytes, for the tokenizer knows no longer tokens."""
SUMMARY = "They spoke of whales."
NOTE = "x-mlxd-context"
ENDS = ("response.completed", "response.incomplete", "message_stop")
BRIEF = {"role": "system", "content": "Be brief."}
Messages = list[dict[str, Any]]


@pytest.fixture
def script() -> Iterator[ScriptedEngine]:
    tokenizer = byte_tokenizer(CHATML)

    def answer(request: GenerateRequest) -> list[int]:
        asked = tokenizer.decode(list(request.prompt))
        return list(tokenizer.encode(SUMMARY if "You compress" in asked else "ok"))

    engine = ScriptedEngine(tokenizer, answer, context=WINDOW)
    yield engine
    engine.stop()


@asynccontextmanager
async def answering(script: ScriptedEngine, policy: Overflow) -> AsyncIterator[httpx.AsyncClient]:
    """Serve a model with this policy."""
    spec = msgspec.structs.replace(script.model.spec, overflow=policy)
    app = build(replace(script.model, spec=spec), script.engine)
    async with serving(app) as server:
        async with httpx.AsyncClient(base_url=server.url, timeout=WITHIN) as client:
            yield client
    app.state.pipeline.close()


def talk(exchanges: int, size: int = 100) -> Messages:
    """Return a conversation with a system message; each of its messages is numbered."""
    said: Messages = [BRIEF]
    for number in range(exchanges):
        said.append({"role": "user", "content": f"question-{number} ".ljust(size, "q")})
        said.append({"role": "assistant", "content": f"answer-{number} ".ljust(size, "a")})
    return [*said, {"role": "user", "content": "question-last"}]


def prompt(script: ScriptedEngine, place: int = -1) -> str:
    """Return what the engine was asked to read."""
    return str(script.tokenizer.decode(list(script.seen[place].prompt)))


def numbers(text: str, word: str) -> list[str]:
    """Return which of the numbered messages are in a prompt."""
    return [part.split()[0].split("<")[0] for part in text.split(f"{word}-")[1:]]


def bodies(said: Messages) -> dict[str, dict[str, Any]]:
    """Return one conversation in every dialect that has conversations."""
    system, rest = said[0]["content"], said[1:]
    return {
        "/v1/chat/completions": {"messages": said, "max_tokens": 50},
        "/v1/responses": {"instructions": system, "input": rest, "max_output_tokens": 50},
        "/v1/messages": {"system": system, "messages": rest, "max_tokens": 50},
        "/api/chat": {"messages": said, "stream": False, "options": {"num_predict": 50}},
    }


async def ask(client: httpx.AsyncClient, said: Messages, **extra: object) -> httpx.Response:
    """Ask by Chat Completions."""
    body = {"model": "m", "messages": said, "max_tokens": 50, **extra}
    return await client.post("/v1/chat/completions", json=body)


async def test_an_error_is_what_comes_unless_the_entry_says_otherwise(
    script: ScriptedEngine,
) -> None:
    async with answering(script, "error") as client:
        refused = await ask(client, talk(20))
    assert refused.status_code == 400
    assert refused.json()["error"]["code"] == "context_length_exceeded"
    assert NOTE not in refused.headers


@pytest.mark.parametrize("path", bodies(talk(1)))
async def test_truncating_keeps_the_system_message_and_the_newest_turns_that_fit(
    script: ScriptedEngine, path: str
) -> None:
    async with answering(script, "truncate") as client:
        answer = await client.post(path, json={"model": "m", **bodies(talk(20))[path]})
    assert answer.status_code == 200, answer.text
    text = prompt(script)
    stayed = numbers(text, "question")
    assert stayed[-1] == "last" and 3 < len(stayed) < 20
    assert stayed[:-1] == numbers(text, "answer") == [str(n) for n in range(21 - len(stayed), 20)]
    assert text.startswith("<|im_start|>system\nBe brief.<|im_end|>")
    assert answer.headers[NOTE] == f"truncated {2 * (21 - len(stayed))} messages"
    # What went without need is less than a step and an exchange.
    assert WINDOW - 50 - WINDOW // 8 - 500 < len(script.seen[-1].prompt) <= WINDOW - 50


async def test_a_cut_stays_where_it_is_for_some_turns_so_that_the_prompt_cache_knows_them(
    script: ScriptedEngine,
) -> None:
    said, prompts = talk(20, size=40), []
    async with answering(script, "truncate") as client:
        for turn in range(12):
            assert NOTE in (await ask(client, said)).headers
            prompts.append(prompt(script))
            said += [{"role": "assistant", "content": f"ok {turn}"}, talk(0)[-1]]
    again = [
        later.startswith(earlier.removesuffix("assistant\n"))
        for earlier, later in itertools.pairwise(prompts)
    ]
    assert again.count(False) <= 3


async def test_what_fits_is_left_alone(script: ScriptedEngine) -> None:
    for policy in ("truncate", "summarize"):
        async with answering(script, policy) as client:
            answer = await ask(client, talk(2))
        assert NOTE not in answer.headers
        assert numbers(prompt(script), "question") == ["0", "1", "last"]
    assert len(script.seen) == 2


async def test_an_answer_without_a_limit_has_a_quarter_of_the_window(
    script: ScriptedEngine,
) -> None:
    async with answering(script, "truncate") as client:
        answer = await ask(client, talk(7), max_tokens=None)
    assert answer.headers[NOTE].startswith("truncated")
    assert script.seen[-1].max_tokens >= WINDOW // 4


async def test_a_call_and_its_result_go_or_stay_together_and_the_question_stays(
    script: ScriptedEngine,
) -> None:
    said: Messages = [{"role": "user", "content": "question-last"}]
    for number in range(12):
        function = {"name": "look", "arguments": json.dumps({"at": f"call-{number} "})}
        call = {"id": f"c{number}", "type": "function", "function": function}
        said.append({"role": "assistant", "content": "", "tool_calls": [call]})
        result = f"result-{number} ".ljust(150, "r")
        said.append({"role": "tool", "tool_call_id": f"c{number}", "content": result})
    async with answering(script, "truncate") as client:
        answer = await ask(client, said)
    assert answer.status_code == 200, answer.text
    text = prompt(script)
    assert numbers(text, "question") == ["last"]
    assert numbers(text, "call") == numbers(text, "result") != []
    assert numbers(text, "result")[-1] == "11"


@pytest.mark.parametrize(
    ("policy", "asked", "done", "told"),
    [
        ("error", {}, None, "disabled"),
        ("error", {"truncation": "auto"}, "truncated", "auto"),
        ("truncate", {}, "truncated", "auto"),
        ("truncate", {"truncation": None}, "truncated", "auto"),
        ("truncate", {"truncation": "disabled"}, None, "disabled"),
        ("summarize", {"truncation": "auto"}, "truncated", "auto"),
    ],
)
async def test_a_request_for_a_response_has_its_own_say_and_the_response_tells_which_it_was(
    script: ScriptedEngine, policy: Overflow, asked: dict[str, Any], done: str | None, told: str
) -> None:
    path = "/v1/responses"
    async with answering(script, policy) as client:
        short, long = [
            await client.post(path, json={"model": "m", **bodies(talk(turns))[path], **asked})
            for turns in (1, 20)
        ]
    assert short.json()["truncation"] == told and NOTE not in short.headers
    if done is None:
        error = long.json()["error"]
        assert (long.status_code, error["code"]) == (400, "context_length_exceeded")
        assert error["param"] == "input"
    else:
        assert long.headers[NOTE].startswith(done) and long.json()["truncation"] == told


@pytest.mark.parametrize("policy", ["truncate", "summarize"])
async def test_a_last_message_that_does_not_fit_is_the_same_error(
    script: ScriptedEngine, policy: Overflow
) -> None:
    said = [*talk(10), {"role": "user", "content": "x" * WINDOW}]
    async with answering(script, policy) as client:
        refused = await ask(client, said)
    assert refused.status_code == 400
    error = refused.json()["error"]
    assert (error["code"], error["param"]) == ("context_length_exceeded", "messages")
    assert str(WINDOW) in error["message"]


async def test_a_stream_says_so_before_anything_else(script: ScriptedEngine) -> None:
    async with answering(script, "truncate") as client:
        answer = await ask(client, talk(20), stream=True)
    note = answer.headers[NOTE]
    assert note.startswith("truncated")
    assert answer.text.startswith(f": {NOTE}: {note}\n\ndata: ")


@pytest.mark.parametrize("path", bodies(talk(1)))
async def test_summarizing_puts_one_message_in_the_place_of_all_but_the_last_six(
    script: ScriptedEngine, path: str
) -> None:
    async with answering(script, "summarize") as client:
        answer = await client.post(path, json={"model": "m", **bodies(talk(8, size=120))[path]})
    assert answer.status_code == 200, answer.text
    *asked, last = (prompt(script, n) for n in range(len(script.seen)))
    assert all("You compress" in text for text in asked)
    assert all(seen.sampling.temperature == 0 for seen in script.seen[:-1])
    assert numbers("".join(asked), "question") == [str(n) for n in range(6)]
    assert numbers(last, "answer") == ["5", "6", "7"]
    assert numbers(last, "question") == ["6", "7", "last"]
    assert last.count(SUMMARY) == 1
    assert last.startswith("<|im_start|>system\nBe brief.<|im_end|>")
    assert answer.headers[NOTE] == "summarized 11 messages"


async def test_the_next_turn_goes_on_from_the_summary_that_is_there(
    script: ScriptedEngine,
) -> None:
    said = talk(8, size=120)
    async with answering(script, "summarize") as client:
        first = await ask(client, said)
        asked = len(script.seen)
        later = await ask(client, [*said, {"role": "assistant", "content": "ok"}, *talk(0)[1:]])
        assert len(script.seen) == asked + 1, "it was summarized again"
        assert first.headers[NOTE] == later.headers[NOTE]
        assert prompt(script).startswith(prompt(script, asked - 1).removesuffix("assistant\n"))
        # When it has grown too long again, the summary is summarized with what came since.
        await ask(client, [*said[:-1], *talk(16, size=120)[-17:]])
    assert SUMMARY in prompt(script, -2) and "You compress" in prompt(script, -2)


async def test_a_very_long_past_is_summarized_in_rounds(script: ScriptedEngine) -> None:
    async with answering(script, "summarize") as client:
        answer = await ask(client, talk(20, size=120))
    assert answer.headers[NOTE].startswith("summarized")
    rounds = [prompt(script, n) for n in range(len(script.seen) - 1)]
    assert len(rounds) > 2
    assert all("You compress" in text for text in rounds)
    assert [SUMMARY in text for text in rounds] == [False] + [True] * (len(rounds) - 1)


async def test_what_a_summary_takes_is_counted_against_the_key(script: ScriptedEngine) -> None:
    spec = msgspec.structs.replace(script.model.spec, overflow="summarize")
    app = build(replace(script.model, spec=spec), script.engine)
    used: list[Used] = []
    app.state.report = used.append
    async with serving(app) as server, httpx.AsyncClient(base_url=server.url, timeout=60) as client:
        body = {"model": "m", "messages": talk(8, size=120), "max_tokens": 50}
        answer = await client.post("/v1/chat/completions", json=body, headers={ACCOUNT: "key"})
        await eventually(lambda: bool(used), within=60)
    app.state.pipeline.close()
    assert used[0].input_tokens == sum(len(seen.prompt) for seen in script.seen)
    assert used[0].output_tokens > len(script.tokenizer.encode(SUMMARY))
    assert answer.json()["usage"]["prompt_tokens"] == len(script.seen[-1].prompt)


async def test_a_summary_that_fails_is_a_cut_instead(script: ScriptedEngine) -> None:
    def answer(request: GenerateRequest) -> Any:
        text = script.tokenizer.decode(list(request.prompt))
        return WorkerDied("no") if "You compress" in text else script.tokenizer.encode("ok")

    script._answer = answer
    async with answering(script, "summarize") as client:
        told = await ask(client, talk(8, size=120))
    assert told.status_code == 200
    assert told.headers[NOTE].startswith("truncated")


async def test_a_client_that_leaves_takes_its_summary_along(script: ScriptedEngine) -> None:
    script.gate.clear()
    async with answering(script, "summarize") as client:
        asking = asyncio.create_task(ask(client, talk(8, size=120)))
        await eventually(lambda: bool(script.seen), within=60)
        asking.cancel()
        await eventually(lambda: bool(script.cancelled), within=60)
        script.gate.set()
        answer = await ask(client, talk(1))
    assert answer.status_code == 200
    assert len(script.seen) == 2


async def test_a_conversation_with_pictures_is_refused_as_ever(script: ScriptedEngine) -> None:
    part = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    said = [*talk(20), {"role": "user", "content": [part]}]
    async with answering(script, "truncate") as client:
        assert (await ask(client, said)).status_code == 400


@pytest.mark.parametrize("policy", ["truncate", "summarize"])
def test_a_real_model_goes_on_and_the_daemon_passes_on_what_was_done(
    running_daemon: RunDaemon, policy: Overflow
) -> None:
    folder = demo.find()
    assert folder is not None
    entry = {"id": "mine", "source": str(folder.path), "context_length": 512, "overflow": policy}
    daemon = running_daemon({"models": [entry], "demo": False, "hub": False})
    said: Messages = []
    for _ in range(12):
        said.append({"role": "user", "content": "Count to 8, and tell me what mlxd is."})
        said.append({"role": "assistant", "content": "1 2 3 4 5 6 7 8, a local inference daemon."})
    said.append({"role": "user", "content": "Count to 8"})
    body = {"model": "mine", "messages": said, "max_tokens": 16}
    with httpx.Client(base_url=daemon.url, timeout=240) as client:
        answer = client.post("/v1/chat/completions", json=body)
        assert answer.status_code == 200, answer.text
        done, count, _ = answer.headers[NOTE].split()
        assert done == f"{policy}d" and 0 < int(count) < 24
        # A stream that had to wait has sent its head before anything was known.
        streamed = client.post("/v1/chat/completions", json={**body, "stream": True}).text
        assert f": {NOTE}: {done}" in streamed and streamed.endswith("data: [DONE]\n\n")
        for path in ("/v1/responses", "/v1/messages"):
            body_here = {"model": "mine", **bodies([BRIEF, *said])[path], "stream": True}
            lines = client.post(path, json=body_here).text.splitlines()
            assert f": {NOTE}: {done}" in "\n".join(lines)
            assert json.loads(lines[-2].removeprefix("data: "))["type"] in ENDS
        own = {"model": "mine", **bodies([BRIEF, *said])["/v1/responses"]}
        refused = client.post("/v1/responses", json={**own, "truncation": "disabled"})
        assert refused.json()["error"]["code"] == "context_length_exceeded"
        cut = client.post("/v1/responses", json={**own, "truncation": "auto"})
        kept = client.get(f"/v1/responses/{cut.json()['id']}").json()
        assert cut.headers[NOTE].startswith("truncated") and kept["truncation"] == "auto"
        counted = client.post("/v1/messages/count_tokens", json=body).json()["input_tokens"]
        told = client.post("/v1/messages", json=body)
        usage = told.json()["usage"]
        assert told.headers[NOTE].startswith(done)
        assert usage["input_tokens"] + usage["cache_read_input_tokens"] <= 512 - 16 < counted


@pytest.mark.parametrize("policy", ["truncate", "summarize"])
@pytest.mark.parametrize("size", [3, 150])
async def test_a_conversation_too_long_by_far_is_cut_as_well_as_if_it_were_read_whole(
    script: ScriptedEngine, monkeypatch: pytest.MonkeyPatch, policy: Overflow, size: int
) -> None:
    """Given hundreds of windows, when only beginnings are read of them, then no less of them is left."""
    said = talk(150_000 // (size + 60), size=size)
    async with answering(script, policy) as client:
        cheaply = await ask(client, said)
        monkeypatch.setattr(long_text, "PIECE", 10**9)
        wholly = await ask(client, said)
    assert cheaply.status_code == wholly.status_code == 200
    assert all(answer.headers[NOTE].startswith("truncated") for answer in (cheaply, wholly))
    left, less = (numbers(prompt(script, place), "question") for place in (-2, -1))
    assert left[-1] == "last" and left[-len(less) :] == less
    assert WINDOW - 50 - WINDOW // 8 - 500 < len(script.seen[-2].prompt) <= WINDOW - 50


@pytest.mark.parametrize("policy", ["truncate", "summarize"])
async def test_one_huge_message_goes_where_it_is_old_and_is_refused_where_it_is_the_question(
    script: ScriptedEngine, policy: Overflow
) -> None:
    huge = {"role": "user", "content": "whale " * 50_000}
    async with answering(script, policy) as client:
        old = await ask(client, [BRIEF, huge, *talk(3)[1:]])
        last = await ask(client, [*talk(3)[:-1], huge])
        head = await ask(client, [{**huge, "role": "system"}, *talk(3)[1:]])
    assert old.status_code == 200 and old.headers[NOTE].startswith("truncated")
    assert "whale" not in prompt(script)
    assert numbers(prompt(script), "question")[-3:] == ["1", "2", "last"]
    for refused in (last, head):
        assert refused.status_code == 400
        assert refused.json()["error"]["code"] == "context_length_exceeded"
        assert "the prompt has at least" in refused.json()["error"]["message"]
