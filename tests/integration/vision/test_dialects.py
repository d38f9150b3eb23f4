"""Pictures are the same in every dialect: streamed, bound to a schema, seeded, beside tools, several in a message."""

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from typing import Any

import anthropic
import httpx
import ollama
import openai
import pytest
from support.daemon import Daemon
from support.seeing import picture, uri

pytestmark = pytest.mark.timeout(600)  # the first one has the models made
PLAIN = "gemma3_vl"
"""Has no thinking to switch on or off, of which dialects think differently."""
CALLING = "qwen2_vl"
CHAT = "/v1/chat/completions"
RED, BLUE, TALL = picture(1), picture(2), picture(3, (64, 200))
WORDS = "Which of them is it?"
LIMIT = 16
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"colour": {"enum": ["red", "blue"]}},
    "required": ["colour"],
    "additionalProperties": False,
}
Pictures = Sequence[bytes]
Told = tuple[str, int]
"""What was said, and how many tokens it was said to."""


def inside(content: bytes) -> str:
    return uri(content).partition(",")[2]


def chat(daemon: Daemon, shown: Pictures, stream: bool, schema: Any = None, **more: Any) -> Told:
    parts = [{"type": "image_url", "image_url": {"url": uri(item)}} for item in shown]
    asked: dict[str, Any] = {
        "model": PLAIN,
        "messages": [{"role": "user", "content": [*parts, {"type": "text", "text": WORDS}]}],
        "max_tokens": LIMIT if schema is None else 200,
        "temperature": 0,
        **more,
    }
    if schema is not None:
        named = {"name": "x", "schema": schema, "strict": True}
        asked["response_format"] = {"type": "json_schema", "json_schema": named}
    with openai.OpenAI(base_url=f"{daemon.url}/v1", api_key="none", max_retries=0) as client:
        if not stream:
            answer = client.chat.completions.create(**asked)
            return answer.choices[0].message.content or "", answer.usage.prompt_tokens
        chunks = list(
            client.chat.completions.create(
                stream=True, stream_options={"include_usage": True}, **asked
            )
        )
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    return text, chunks[-1].usage.prompt_tokens


def responses(
    daemon: Daemon, shown: Pictures, stream: bool, schema: Any = None, **more: Any
) -> Told:
    parts = [{"type": "input_image", "image_url": uri(item), "detail": "auto"} for item in shown]
    words = {"type": "input_text", "text": WORDS}
    asked: dict[str, Any] = {
        "model": PLAIN,
        "input": [{"role": "user", "content": [*parts, words]}],
        "max_output_tokens": LIMIT if schema is None else 200,
        "temperature": 0,
        "store": False,
        "extra_body": more,
    }
    if schema is not None:
        named = {"type": "json_schema", "name": "x", "schema": schema, "strict": True}
        asked["text"] = {"format": named}
    with openai.OpenAI(base_url=f"{daemon.url}/v1", api_key="none", max_retries=0) as client:
        if not stream:
            answer = client.responses.create(**asked)
            return answer.output_text, answer.usage.input_tokens
        events = list(client.responses.create(stream=True, **asked))
    text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    return text, events[-1].response.usage.input_tokens


def messages(
    daemon: Daemon, shown: Pictures, stream: bool, schema: Any = None, **more: Any
) -> Told:
    blocks: list[Any] = [
        {
            "type": "image",
            "source": {"type": "base64", "media_type": "image/png", "data": inside(item)},
        }
        for item in shown
    ]
    asked: dict[str, Any] = {
        "model": PLAIN,
        "messages": [{"role": "user", "content": [*blocks, {"type": "text", "text": WORDS}]}],
        "max_tokens": LIMIT if schema is None else 200,
        "extra_body": {"temperature": 0, **more},
    }
    if schema is not None:
        form = {"format": {"type": "json_schema", "schema": schema}}
        asked["extra_body"] |= {"output_config": form}
    with anthropic.Anthropic(base_url=daemon.url, api_key="none", max_retries=0) as client:
        if not stream:
            answer = client.messages.create(**asked)
        else:
            with client.messages.stream(**asked) as events:
                answer = events.get_final_message()
    text = "".join(getattr(block, "text", "") for block in answer.content)
    return text, answer.usage.input_tokens + (answer.usage.cache_read_input_tokens or 0)


def ollamas(daemon: Daemon, shown: Pictures, stream: bool, schema: Any = None, **more: Any) -> Told:
    options = {"temperature": 0, "num_predict": LIMIT if schema is None else 200, **more}
    said = [{"role": "user", "content": WORDS, "images": [inside(item) for item in shown]}]
    client = ollama.Client(host=daemon.url)
    with closing(client._client):
        asked: dict[str, Any] = {"model": PLAIN, "messages": said, "options": options}
        if stream:
            lines = list(client.chat(**asked, format=schema, stream=True))
        else:
            lines = [client.chat(**asked, format=schema)]
    return "".join(line.message.content or "" for line in lines), lines[-1].prompt_eval_count or 0


Speaking = Callable[..., Told]
SPEAKING: Mapping[str, Speaking] = {
    "chat": chat, "responses": responses, "messages": messages, "ollama": ollamas
}  # fmt: skip
SEEDED = ("chat", "responses", "ollama")


@pytest.mark.parametrize("shown", [[RED], [RED, BLUE, TALL]], ids=["one", "three"])
def test_every_dialect_says_the_same_streamed_and_whole(daemon: Daemon, shown: Pictures) -> None:
    told = {
        (name, stream): speak(daemon, shown, stream)
        for name, speak in SPEAKING.items()
        for stream in (False, True)
    }
    assert len(set(told.values())) == 1, told
    assert chat(daemon, shown[::-1], False) != told["chat", False] or len(shown) == 1


@pytest.mark.parametrize("name", SPEAKING)
def test_a_schema_binds_what_is_said_of_a_picture(daemon: Daemon, name: str) -> None:
    text, _ = SPEAKING[name](daemon, [RED], True, SCHEMA)
    assert json.loads(text)["colour"] in ("red", "blue")


def test_a_seed_says_the_same_in_every_dialect_that_knows_one(daemon: Daemon) -> None:
    told = {
        (name, stream): SPEAKING[name](daemon, [BLUE], stream, temperature=1.0, seed=7)
        for name in SEEDED
        for stream in (False, True)
    }
    assert len(set(told.values())) == 1, told
    assert chat(daemon, [BLUE], False, temperature=1.0, seed=8) != told["chat", False]


def test_a_picture_is_seen_again_where_a_conversation_goes_on(daemon: Daemon) -> None:
    def after(shown: bytes) -> tuple[str, str]:
        """Return what follows where the first turn was stored, and where it is sent again."""
        first = [
            {"type": "input_image", "image_url": uri(shown)},
            {"type": "input_text", "text": WORDS},
        ]
        begun: Any = [{"role": "user", "content": first}]
        more: Any = [{"role": "user", "content": "And now?"}]
        asked: dict[str, Any] = {"model": PLAIN, "temperature": 0, "max_output_tokens": LIMIT}
        with openai.OpenAI(base_url=f"{daemon.url}/v1", api_key="none", max_retries=0) as client:
            told = client.responses.create(input=begun, **asked)
            on = client.responses.create(input=more, previous_response_id=told.id, **asked)
            again: Any = [*begun, {"role": "assistant", "content": told.output_text}, *more]
            return on.output_text, client.responses.create(input=again, **asked).output_text

    stored, sent = after(RED)
    assert stored == sent
    assert after(BLUE)[0] != stored


TOOL = {"name": "paint", "description": "Paint", "parameters": SCHEMA}
PART = {"type": "image_url", "image_url": {"url": uri(RED)}}
BLOCK = {
    "type": "image",
    "source": {"type": "base64", "media_type": "image/png", "data": inside(RED)},
}
CALLS: Mapping[str, tuple[str, dict[str, Any]]] = {
    "chat": (
        CHAT,
        {
            "messages": [{"role": "user", "content": [PART]}],
            "tools": [{"type": "function", "function": TOOL}],
            "tool_choice": "required",
            "max_tokens": 200,
        },
    ),
    "responses": (
        "/v1/responses",
        {
            "input": [
                {"role": "user", "content": [{"type": "input_image", "image_url": uri(RED)}]}
            ],
            "tools": [{"type": "function", **TOOL, "strict": True}],
            "tool_choice": "required",
            "max_output_tokens": 200,
        },
    ),
    "messages": (
        "/v1/messages",
        {
            "messages": [{"role": "user", "content": [BLOCK]}],
            "tools": [{"name": "paint", "description": "Paint", "input_schema": SCHEMA}],
            "tool_choice": {"type": "any"},
            "max_tokens": 200,
        },
    ),
}


def arguments(name: str, told: Any) -> Any:
    """Return what the tool was called with."""
    if name == "chat":
        return json.loads(told["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"])
    if name == "responses":
        (call,) = (item for item in told["output"] if item["type"] == "function_call")
        return json.loads(call["arguments"])
    (block,) = (item for item in told["content"] if item["type"] == "tool_use")
    return block["input"]


@pytest.mark.parametrize("name", CALLS)
def test_a_demanded_call_is_made_about_a_picture(daemon: Daemon, name: str) -> None:
    path, body = CALLS[name]
    told = daemon.post(path, {"model": CALLING, "temperature": 0, **body})
    assert arguments(name, told)["colour"] in ("red", "blue")


BIG = uri(picture(1, (900, 900)))


def test_fewer_pixels_cost_fewer_tokens_and_detail_is_known(daemon: Daemon) -> None:
    def tokens(**asked: Any) -> int:
        part = {"type": "image_url", "image_url": {"url": BIG, **asked}}
        shown = {"type": "input_image", "image_url": BIG, **asked}
        of_chat = daemon.post(CHAT, {"model": CALLING, **user([part])})
        of_responses = daemon.post("/v1/responses", {"model": CALLING, **item([shown])})
        count = int(of_chat["usage"]["prompt_tokens"])
        assert of_responses["usage"]["input_tokens"] == count
        return count

    whole = tokens()
    assert tokens(max_pixels=100 * 100) < whole / 2
    assert tokens(detail="high") == whole >= tokens(detail="low")
    for path, body, named in (
        (
            CHAT,
            user([{"type": "image_url", "image_url": {"url": BIG, "detail": "sharp"}}]),
            f"{WHERE}.image_url.detail",
        ),
        (
            "/v1/responses",
            item([{"type": "input_image", "image_url": BIG, "max_pixels": 0}]),
            "input[0].content[0].image_url.max_pixels",
        ),
    ):
        answer = httpx.post(daemon.url + path, json={"model": CALLING, **body}, timeout=60)
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, named)


def user(content: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": content}], "max_tokens": 1}


def item(content: Any) -> dict[str, Any]:
    return {"input": [{"role": "user", "content": content}], "max_output_tokens": 16}


FILM = {"type": "base64", "media_type": "video/mp4", "data": "AAAA"}
PDF = {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0xLjcK"}
WHERE = "messages[0].content[0]"


@pytest.mark.parametrize(
    ("path", "body", "named"),
    [
        (CHAT, user([{"type": "video_url", "video_url": {"url": "data:video/mp4;base64,AA=="}}]),
         f"{WHERE}.video_url.url"),
        (CHAT, user([{"type": "audio_url", "audio_url": {"url": "data:audio/wav;base64,AA=="}}]),
         f"{WHERE}.audio_url.url"),
        (CHAT, user([{"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}}]),
         f"{WHERE}.input_audio.data"),
        (CHAT, user([{"type": "file", "file": {"file_data": "AA=="}}]), WHERE),
        (CHAT, user([{"type": "video", "video": ["a", "b"]}]), f"{WHERE}.type"),
        (CHAT, user([{"type": "image_url", "image_url": {"url": "data:video/mp4;base64,AA=="}}]),
         f"{WHERE}.image_url.url"),
        ("/v1/responses", item([{"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}}]),
         "input[0].content[0].input_audio.data"),
        ("/v1/responses", item([{"type": "input_file", "file_data": "AA=="}]), "input[0].content[0]"),
        ("/v1/responses", item([{"type": "input_video"}]), "input[0].content[0].type"),
        ("/v1/responses", item([{"type": "input_image", "file_id": "f"}]), "input[0].content[0].file_id"),
        ("/v1/messages", user([{"type": "image", "source": FILM}]), f"{WHERE}.source.media_type"),
        ("/v1/messages", user([{"type": "document", "source": PDF}]), WHERE),
        ("/v1/messages", user([{"type": "video", "source": FILM}]), WHERE),
        ("/api/chat", {"messages": [{"role": "user", "content": "x", "images": [inside(b"\0\0\0\x18ftypmp42" * 9)]}]},
         "messages[0].images[0]"),
        ("/api/generate", {"prompt": "x", "images": [inside(b"RIFF\0\0\0\0WAVEfmt " * 9)]}, "images[0]"),
    ],
)  # fmt: skip
def test_films_sounds_and_files_are_refused_by_name(
    daemon: Daemon, path: str, body: dict[str, Any], named: str
) -> None:
    answer = httpx.post(daemon.url + path, json={"model": CALLING, **body}, timeout=60)
    assert answer.status_code == 400, answer.text
    error = answer.json()["error"]
    assert named in (error if isinstance(error, str) else error["message"])
    if path in (CHAT, "/v1/responses"):
        assert error["param"] == named
