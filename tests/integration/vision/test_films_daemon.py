"""Films come through the daemon as the official client sends them; whatever one turns out to be, the worker lives."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import openai
import psutil
import pytest
from support.bad_films import hostile
from support.daemon import Daemon
from support.films import film, uri
from support.seeing import picture
from support.seeing import uri as picture_uri

pytestmark = pytest.mark.timeout(600)  # the first one has the models made
MODEL = "qwen3_vl"
FIELD = "messages[0].content[1].video_url.url"
ELSEWHERE = {
    "a local file": "file:///etc/passwd",
    "a path": "/etc/passwd",
    "bare base64": "AAAAIGZ0eXBpc29t",
    "no base64": "data:video/mp4;base64,%%%",
    "no film": "data:image/png;base64,AAAA",
    "an address": "https://outside.example/film.mp4",
    "this machine": "http://127.0.0.1:1/film.mp4",
    "the cloud's own": "http://169.254.169.254/latest/meta-data/",
    "nothing": "",
}


def shown(*parts: str | dict[str, Any]) -> Any:
    content = [{"type": "text", "text": part} if isinstance(part, str) else part for part in parts]
    return [{"role": "user", "content": content}]


def rolling(url: str, **rest: Any) -> dict[str, Any]:
    return {"type": "video_url", "video_url": {"url": url, **rest}}


def said(client: openai.OpenAI, messages: Any, model: str = MODEL, **rest: Any) -> Any:
    return client.chat.completions.create(
        model=model, messages=messages, **{"temperature": 0, "max_tokens": 8, **rest}
    )


def cached(answer: Any) -> int:
    return answer.usage.prompt_tokens_details.cached_tokens or 0


def test_the_same_film_is_answered_the_same_from_the_cache_and_another_is_not(
    client: openai.OpenAI,
) -> None:
    words = "this is a longer question about a film, so that it is worth keeping: "
    first = said(client, shown(words, rolling(uri(film(11)))))
    again = said(client, shown(words, rolling(uri(film(11)))))
    other = said(client, shown(words, rolling(uri(film(12)))))
    assert again.choices[0].message.content == first.choices[0].message.content
    assert other.choices[0].message.content != first.choices[0].message.content
    assert cached(again) >= first.usage.prompt_tokens - 2
    assert cached(other) < cached(again) - 24, "no token of the film"


def test_films_pictures_and_text_are_answered_at_once_as_alone(client: openai.OpenAI) -> None:
    image = {"type": "image_url", "image_url": {"url": picture_uri(picture(1))}}
    asked = [
        shown("hello"),
        shown("see ", rolling(uri(film(1)))),
        shown("see ", rolling(uri(film(2, kind=("webm", "libvpx")), "video/webm"), fps=4)),
        shown("see ", image, rolling(uri(film(1))), "?"),
    ]
    alone = [said(client, messages).choices[0].message.content for messages in asked]
    with ThreadPoolExecutor(4) as pool:
        together = pool.map(lambda messages: said(client, messages), asked)
        assert [answer.choices[0].message.content for answer in together] == alone
    assert len(set(alone)) == len(alone)


def test_hostile_films_are_the_callers_mistake(client: openai.OpenAI, daemon: Daemon) -> None:
    messages = shown("see ", rolling(uri(film(1))))
    before = said(client, messages).choices[0].message.content
    (pid,) = (model["pid"] for model in daemon.ps() if model["id"] == MODEL)
    memory = psutil.Process(pid).memory_info().rss
    urls = {name: uri(content) for name, content in hostile().items()} | ELSEWHERE

    def outcome(url: str) -> tuple[int, str | None, str]:
        with pytest.raises(openai.APIStatusError) as caught:
            said(client, shown("see ", rolling(url)))
        return caught.value.status_code, caught.value.param, caught.value.message

    with ThreadPoolExecutor(4) as pool:
        for name, (status, param, message) in zip(
            urls, pool.map(outcome, urls.values()), strict=True
        ):
            assert (status, param) == (400, FIELD), (name, message)
            assert "/etc/" not in message
    assert [model["pid"] for model in daemon.ps() if model["id"] == MODEL] == [pid]
    assert psutil.Process(pid).memory_info().rss - memory < 200 << 20
    assert said(client, messages).choices[0].message.content == before


@pytest.mark.parametrize(
    ("model", "why"),
    [
        ("gemma3_vl", "takes text and images, not films"),
        ("smolvlm", "takes text and images, not films"),
        ("demo", "takes text, not films"),
    ],
)
def test_a_model_that_takes_no_films_says_what_it_takes(
    client: openai.OpenAI, model: str, why: str
) -> None:
    with pytest.raises(openai.BadRequestError, match=why) as caught:
        said(client, shown("see ", rolling(uri(film(1)))), model)
    assert caught.value.param == FIELD


@pytest.mark.parametrize(
    ("part", "named"),
    [
        (rolling(uri(b"x"), fps=0), ".video_url.fps"),
        (rolling(uri(b"x"), fps=1e9), ".video_url.fps"),
        (rolling(uri(b"x"), max_pixels=0), ".video_url.max_pixels"),
        ({"type": "video_url"}, ".video_url"),
    ],
)
def test_a_part_that_makes_no_sense_is_named(
    daemon: Daemon, part: dict[str, Any], named: str
) -> None:
    body = {"model": MODEL, "messages": shown(part), "max_tokens": 1}
    answer = httpx.post(f"{daemon.url}/v1/chat/completions", json=body, timeout=60)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["param"] == f"messages[0].content[0]{named}"


def test_more_films_than_there_is_time_for_are_refused(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="at most 8 films") as caught:
        said(client, shown(*(rolling(uri(film(1))) for _ in range(9))))
    assert caught.value.param == "messages[0].content[8].video_url.url"


def test_films_that_are_more_than_the_window_holds_are_refused_with_both_numbers(
    client: openai.OpenAI,
) -> None:
    long = rolling(uri(film(3, frames=200, rate=5)))
    with pytest.raises(openai.BadRequestError) as caught:
        said(client, shown("see ", long, long), "gemma4")
    assert caught.value.code == "context_length_exceeded"
    assert "4096" in caught.value.message
