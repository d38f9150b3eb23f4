"""Everything text has works with pictures, through the daemon."""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import openai
import pytest
from support.daemon import Daemon
from support.seeing import KINDS, picture, uri

pytestmark = pytest.mark.timeout(600)  # the first one has the models made
MODEL = "qwen2_vl"
RED, BLUE = picture(1), picture(2)


def shown(*parts: str | bytes) -> Any:
    """Return a user's message in the parts of Chat Completions."""
    content = [
        {"type": "text", "text": part}
        if isinstance(part, str)
        else {"type": "image_url", "image_url": {"url": uri(part)}}
        for part in parts
    ]
    return [{"role": "user", "content": content}]


def said(client: openai.OpenAI, messages: Any, model: str = MODEL, **rest: Any) -> str:
    """Return what the model says, greedily unless told otherwise."""
    answer = client.chat.completions.create(
        model=model, messages=messages, **{"temperature": 0, "max_tokens": 8, **rest}
    )
    return answer.choices[0].message.content or ""


@pytest.mark.parametrize("kind", KINDS)
def test_each_architecture_answers_text_and_pictures_at_once(
    client: openai.OpenAI, kind: str
) -> None:
    asked = [shown("hello"), shown("see ", RED), shown("see ", BLUE), shown(RED, "or", BLUE, "?")]
    alone = [said(client, messages, kind) for messages in asked]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda messages: said(client, messages, kind), asked))
    assert together == alone
    assert len(set(alone)) == len(alone)


def test_a_stream_says_what_the_whole_says_and_usage_counts_pictures(
    client: openai.OpenAI,
) -> None:
    whole = client.chat.completions.create(
        model=MODEL, messages=shown("what ", RED), max_tokens=8, temperature=0
    )
    stream = client.chat.completions.create(
        model=MODEL, messages=shown("what ", RED), max_tokens=8, temperature=0, stream=True
    )
    text = "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)
    assert text == whole.choices[0].message.content
    less = client.chat.completions.create(model=MODEL, messages=shown("what "), max_tokens=1)
    assert whole.usage is not None and less.usage is not None
    assert whole.usage.prompt_tokens > less.usage.prompt_tokens + 4


def test_seeds_schemas_and_demanded_calls_work_with_pictures(client: openai.OpenAI) -> None:
    messages = shown("what ", RED)
    sampled: dict[str, Any] = {"temperature": 1.0, "seed": 7, "max_tokens": 12}
    assert said(client, messages, **sampled) == said(client, messages, **sampled)
    schema = {
        "type": "object",
        "properties": {"colour": {"enum": ["red", "blue"]}},
        "required": ["colour"],
        "additionalProperties": False,
    }
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema, "strict": True}}
    text = said(client, messages, response_format=form, max_tokens=200)
    assert json.loads(text)["colour"] in ("red", "blue")
    paint: Any = {"type": "function", "function": {"name": "paint", "parameters": schema}}
    answer = client.chat.completions.create(
        model=MODEL,
        messages=messages,
        tools=[paint],
        tool_choice="required",
        max_tokens=200,
        temperature=0,
    )
    calls: Any = answer.choices[0].message.tool_calls
    assert json.loads(calls[0].function.arguments)["colour"] in ("red", "blue")


def test_a_picture_in_a_tools_result_is_seen(client: openai.OpenAI) -> None:
    def messages(content: bytes) -> Any:
        call = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
        result = {"role": "tool", "tool_call_id": "c1", **shown("there: ", content)[0]}
        return [
            {"role": "user", "content": "look"},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {**result, "role": "tool"},
        ]

    assert said(client, messages(RED)) != said(client, messages(BLUE))


def test_the_next_turn_reads_only_what_is_new(client: openai.OpenAI) -> None:
    first = shown("this is a longer question about a picture, so that it is worth keeping ", RED)
    answer = said(client, first, max_tokens=4)
    again = [
        *first,
        {"role": "assistant", "content": answer},
        {"role": "user", "content": "and now?"},
    ]
    found = client.chat.completions.create(model=MODEL, messages=again, max_tokens=2)
    assert found.usage is not None and found.usage.prompt_tokens_details is not None
    assert (found.usage.prompt_tokens_details.cached_tokens or 0) > 20


@pytest.mark.parametrize(
    ("part", "field"),
    [
        (
            {"type": "video_url", "video_url": {"url": "data:video/mp4;base64,AAAA"}},
            ".video_url.url",
        ),
        (
            {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
            ".input_audio.data",
        ),
    ],
)
def test_films_and_sounds_are_refused_by_their_part(
    client: openai.OpenAI, part: dict[str, Any], field: str
) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        said(client, [{"role": "user", "content": [{"type": "text", "text": "x"}, part]}])
    assert caught.value.param == f"messages[0].content[1]{field}"


def test_a_text_model_refuses_a_picture_by_its_field(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="takes text, not images") as caught:
        said(client, shown("x", RED), "demo")
    assert caught.value.param == "messages[0].content[1].image_url.url"


def test_the_kind_is_shown(daemon: Daemon) -> None:
    kinds = {model["id"]: model["kind"] for model in daemon.get("/v1/models")["data"]}
    assert {kinds[kind] for kind in KINDS} == {"vision"}


def test_pictures_are_counted_as_they_are_read(daemon: Daemon) -> None:
    source = {"type": "base64", "media_type": "image/png", "data": uri(RED).partition(",")[2]}
    content = [{"type": "image", "source": source}, {"type": "text", "text": "what is it?"}]
    body = {"model": MODEL, "messages": [{"role": "user", "content": content}]}
    daemon.ctl("unload", "--all", "--force")
    counted = daemon.post("/v1/messages/count_tokens", body)["input_tokens"]
    usage = daemon.post("/v1/messages", {**body, "max_tokens": 1})["usage"]
    assert counted == usage["input_tokens"] + usage["cache_read_input_tokens"]
