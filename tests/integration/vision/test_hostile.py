"""Whatever a picture turns out to be, the answer names its field, memory stays bounded and the worker lives.

What is promised of media from outside, and where it is shown:

| promise | shown by |
| - | - |
| bytes of a file, of all files of a request, of a body | unit/workers_media/test_files.py, here |
| bytes of a file that is fetched, said or not | unit/workers_media/test_fetch.py |
| pixels: bombs and heads that lie, before any is made | unit/workers_media/test_picture.py, here |
| pictures in a request | test_prompts.py |
| formats: an allow-list, whatever the name or type says | unit/workers_media/test_picture.py, here |
| EXIF: turned upright, colours, transparency, first page | unit/workers_media/test_picture.py |
| addresses: off unless the settings allow them | unit/workers_media/test_files.py, here |
| redirects: three, each hop checked, none out of the web | unit/workers_media/test_fetch.py |
| time: one for all hops; drips, names that never resolve | unit/workers_media/test_fetch.py, test_files.py |
| ranges: own, private, link, mapped, translated, multicast | unit/workers_media/test_addresses.py |
| spellings: decimal, octal, hexadecimal, short, IPv6 in all forms | unit/workers_media/test_fetch.py, here |
| names that mean another machine a moment later; proxies | unit/workers_media/test_fetch.py |
| local paths and file: are refused, and not told of | unit/workers_media/test_files.py, here |
| markers in the caller's own words stay words | test_prompts.py |
| code in a model's folder: `model_file`, `auto_map` | test_trust.py |
| sounds, documents: refused by name | test_dialects.py |
| films: length, frames, pixels, time, codecs, damage | unit/workers_media/test_film.py, test_films_daemon.py |
| pictures of others: beside, after, on disk, other tenants | test_leaks.py, test_prompt_cache.py |
"""

import http.client
import http.server
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import openai
import psutil
import pytest
from conftest import RunDaemon
from support import tiny_models
from support.bad_pictures import hostile
from support.daemon import Daemon
from support.seeing import picture, uri

pytestmark = pytest.mark.timeout(600)  # the first one has the models made
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
    connection = http.client.HTTPConnection("127.0.0.1", daemon.port, timeout=30)
    connection.putrequest("POST", "/v1/chat/completions")
    connection.putheader("Content-Type", "application/json")
    connection.putheader("Content-Length", str(2 << 30))
    connection.endheaders()
    assert connection.getresponse().status == 413
    connection.close()


def test_pictures_next_to_bad_ones_go_on(client: openai.OpenAI, daemon: Daemon) -> None:
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


class Inside(http.server.BaseHTTPRequestHandler):
    """Hold a picture that nobody outside is to have."""

    asked: list[str] = []

    def do_GET(self) -> None:
        """Note who asked."""
        self.asked.append(self.path)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(picture(1))

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def inside() -> Iterator[int]:
    """Serve on this machine; give the port."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Inside) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


def test_where_addresses_are_fetched_those_inside_still_are_not(running_daemon: RunDaemon) -> None:
    models = [{"id": MODEL, "source": str(tiny_models.folder(MODEL))}]
    daemon = running_daemon({"models": models, "media": {"allow_urls": True}})
    base = f"{daemon.url}/v1"
    with inside() as port, openai.OpenAI(base_url=base, api_key="none", max_retries=0) as client:
        for host in ("127.0.0.1", "localhost", "2130706433", "[::ffff:127.0.0.1]", "0.0.0.0"):
            with pytest.raises(openai.BadRequestError) as caught:
                ask(client, f"http://{host}:{port}/secret.png")
            assert caught.value.param == FIELD, host
            assert "public internet" in caught.value.message, host
        for url in ("http://169.254.169.254/latest/meta-data/", daemon.url + "/health"):
            with pytest.raises(openai.BadRequestError, match="public internet"):
                ask(client, url)
        for url in ("file:///etc/passwd", "/etc/passwd"):
            with pytest.raises(openai.BadRequestError, match="expected a data: URI"):
                ask(client, url)
        assert ask(client, uri(picture(1)))
    assert Inside.asked == []
