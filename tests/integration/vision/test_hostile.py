"""Whatever a picture turns out to be, the answer names its field, memory stays bounded and the worker lives."""

from typing import Any

import openai
import psutil
import pytest
from support.bad_pictures import hostile
from support.daemon import Daemon
from support.seeing import picture, uri

MODEL = "smolvlm"
FIELD = "messages[0].content[1].image_url.url"
ELSEWHERE = {
    "a local file": "file:///etc/passwd",
    "a path": "/etc/passwd",
    "a path upwards": "../../../etc/passwd",
    "bare base64": "iVBORw0KGgo=",
    "no base64": "data:image/png;base64,%%%",
    "no image": "data:text/html;base64,AAAA",
    "an address": "https://outside.example/picture.png",
    "this machine": "http://127.0.0.1:1/picture.png",
    "the cloud's own": "http://169.254.169.254/latest/meta-data/",
    "nothing": "",
}


def ask(client: openai.OpenAI, url: str) -> str:
    content: Any = [
        {"type": "text", "text": "see "},
        {"type": "image_url", "image_url": {"url": url}},
    ]
    answer = client.chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": content}], max_tokens=4, temperature=0
    )
    return answer.choices[0].message.content or ""


def pid_of(daemon: Daemon) -> int:
    (found,) = (model["pid"] for model in daemon.ps() if model["id"] == MODEL)
    return int(found)


def test_hostile_pictures_are_the_callers_mistake(client: openai.OpenAI, daemon: Daemon) -> None:
    before = ask(client, uri(picture(1)))
    pid = pid_of(daemon)
    memory = psutil.Process(pid).memory_info().rss
    urls = {name: uri(content) for name, content in hostile().items()} | ELSEWHERE
    for name, url in urls.items():
        with pytest.raises(openai.APIStatusError) as caught:
            ask(client, url)
        assert caught.value.status_code == 400, (name, caught.value.message)
        assert caught.value.param == FIELD, name
        assert "/etc/" not in caught.value.message
    assert pid_of(daemon) == pid
    assert psutil.Process(pid).memory_info().rss - memory < 200 << 20
    assert ask(client, uri(picture(1))) == before


def test_a_body_larger_than_any_is_refused_by_its_header(daemon: Daemon) -> None:
    import http.client

    connection = http.client.HTTPConnection("127.0.0.1", daemon.port, timeout=30)
    connection.putrequest("POST", "/v1/chat/completions")
    connection.putheader("Content-Type", "application/json")
    connection.putheader("Content-Length", str(2 << 30))
    connection.endheaders()
    assert connection.getresponse().status == 413
    connection.close()


def test_pictures_next_to_bad_ones_go_on(client: openai.OpenAI, daemon: Daemon) -> None:
    from concurrent.futures import ThreadPoolExecutor

    expected = ask(client, uri(picture(1)))
    bad = [uri(content) for name, content in hostile().items() if name != "bomb"]

    def outcome(url: str) -> str:
        try:
            return ask(client, url)
        except openai.BadRequestError:
            return "refused"

    mixed = [url for item in bad for url in (item, uri(picture(1)))]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(outcome, mixed))
    assert found == ["refused", expected] * len(bad)
