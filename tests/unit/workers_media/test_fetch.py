"""Files are fetched within limits of time, bytes, redirects and addresses, on every hop."""

import http.server
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from mlxd.workers.media import fetch
from mlxd.workers.media.fetch import Fetcher, FetchFailed

OUTSIDE = "outside.example"
HOME = "home.example"


class Handler(http.server.BaseHTTPRequestHandler):
    """Answer as the path says."""

    protocol_version = "HTTP/1.1"
    seen: list[tuple[str, str | None]] = []
    stop = threading.Event()

    def do_GET(self) -> None:
        """Serve one of a few manners."""
        self.seen.append((self.path, self.headers.get("Host")))
        kind, _, rest = self.path.lstrip("/").partition("/")
        if kind == "to":
            self.send_response(302)
            self.send_header("Location", rest.replace("|", "/"))
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif kind == "drip":
            self.send_response(200)
            self.end_headers()
            while not self.stop.wait(0.05):
                try:
                    self.wfile.write(b"x")
                    self.wfile.flush()
                except OSError:
                    return
        elif kind == "slow-head":
            for letter in b"HTTP/1.1 200 OK\r\nX: " + b"y" * 10_000:
                if self.stop.wait(0.05):
                    return
                try:
                    self.wfile.write(bytes([letter]))
                except OSError:
                    return
        else:
            body = b"z" * int(rest or 5)
            self.send_response(404 if kind == "missing" else 200)
            if kind != "unsaid":
                self.send_header("Content-Length", str(len(body)))
            self.send_header("Connection", "close")
            self.end_headers()
            try:
                self.wfile.write(body)
            except OSError:
                return

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_address[1]
    Handler.stop.set()
    server.shutdown()
    thread.join()
    server.server_close()


def resolve(host: str, port: int) -> list[str]:
    """Return loopback for names that stand for the internet here, and for one that does not."""
    return {
        OUTSIDE: ["127.0.0.1"],
        HOME: ["127.0.0.2"],
        "both.example": ["127.0.0.1", "10.0.0.1"],
    }.get(host, [host])


def fetcher(seconds: float = 20, most_bytes: int = 1000) -> Fetcher:
    """Return a fetcher to whom one loopback address is the internet."""
    return Fetcher(
        seconds=seconds,
        most_bytes=most_bytes,
        resolve=resolve,
        allowed=lambda address: address == "127.0.0.1",
    )


@contextmanager
def refused(words: str) -> Iterator[None]:
    with pytest.raises(FetchFailed, match=words):
        yield


def test_a_file_comes_from_the_address_that_was_checked(port: int) -> None:
    url = f"http://{OUTSIDE}:{port}/file/700?a=b"
    assert fetcher().fetch(f"http://{OUTSIDE}:{port}/file/700") == b"z" * 700
    with refused("cannot be fetched|answered"):
        fetcher().fetch(url.replace("/file/700", "/missing/3"))
    assert Handler.seen[0] == ("/file/700", f"{OUTSIDE}:{port}")


@pytest.mark.parametrize("path", ["file/1001", "unsaid/100000"])
def test_a_file_that_is_too_large_is_given_up(port: int, path: str) -> None:
    with refused("at most 1000 bytes"):
        fetcher().fetch(f"http://{OUTSIDE}:{port}/{path}")


def test_redirects_are_followed_a_few_times(port: int) -> None:
    there = f"http://{OUTSIDE}:{port}/"
    assert fetcher().fetch(f"{there}to//file|9") == b"z" * 9
    with refused("redirected more than 3"):
        fetcher().fetch(f"{there}to//to|/to|/to|/file")


@pytest.mark.parametrize(
    "target",
    [f"http:||{HOME}|file", "http:||127.0.0.2|file", "http:||both.example|", "http:||[::1]|"],
)
def test_a_redirect_to_somebodys_own_address_is_refused(port: int, target: str) -> None:
    before = len(Handler.seen)
    with refused("not on the public internet"):
        fetcher().fetch(f"http://{OUTSIDE}:{port}/to/{target}")
    assert len(Handler.seen) == before + 1


@pytest.mark.parametrize("target", ["file:|||etc|passwd", "ftp:||x.example|", "gopher:||x|"])
def test_a_redirect_out_of_the_web_is_refused(port: int, target: str) -> None:
    with refused("http or https"):
        fetcher().fetch(f"http://{OUTSIDE}:{port}/to/{target}")


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "localhost", "[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "2130706433", "0x7f000001",
        "0x7f.0.0.1", "0177.0.0.1", "017700000001", "127.1", "127.0.1", "0", "0.0.0.0", "127.0.0.1.", "①②⑦.⓪.⓪.①",
        "169.254.169.254", "[::ffff:169.254.169.254]", "[fe80::1%25lo]", "2852039166", "10.0.0.1", "192.168.0.1",
        "[64:ff9b::7f00:1]", "[2002:7f00:1::]",
    ],
)  # fmt: skip
def test_nothing_is_fetched_from_this_machine_or_its_network_however_it_is_spelt(
    port: int, host: str
) -> None:
    before = len(Handler.seen)
    with refused("not on the public internet|cannot be fetched"):
        Fetcher(seconds=20, most_bytes=10).fetch(f"http://{host}:{port}/file")
    assert len(Handler.seen) == before


def test_a_name_that_means_another_machine_a_moment_later_gains_nothing(port: int) -> None:
    """Whoever answers for the name says first what is allowed, and then the address of something inside."""
    answers: list[str] = []

    def rebinding(host: str, _: int) -> list[str]:
        answers.append(host)
        return ["127.0.0.1"] if len(answers) == 1 else ["127.0.0.2"]

    def looking() -> Fetcher:
        answers.clear()
        return Fetcher(
            seconds=20, most_bytes=1000, resolve=rebinding, allowed=lambda a: a == "127.0.0.1"
        )

    url = f"http://{OUTSIDE}:{port}/"
    assert looking().fetch(f"{url}file/7") == b"z" * 7
    assert answers == [OUTSIDE], "asked once: what was checked is what is connected to"
    with refused("not on the public internet"):
        looking().fetch(f"{url}to//file")
    assert answers == [OUTSIDE, OUTSIDE], "each hop is checked anew"


def test_no_proxy_of_the_environment_stands_between(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.2:9")
    assert fetcher().fetch(f"http://{OUTSIDE}:{port}/file/3") == b"zzz"


@pytest.mark.parametrize(
    "url", ["http:///x", "http://a:b@outside.example/", "https://", "file:///x"]
)
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(FetchFailed):
        fetcher().fetch(url)


@pytest.mark.parametrize("path", ["drip", "slow-head"])
def test_a_server_that_drips_gains_no_time(port: int, path: str) -> None:
    begun = time.monotonic()
    with refused("did not come within"):
        fetcher(seconds=0.5).fetch(f"http://{OUTSIDE}:{port}/{path}")
    assert time.monotonic() - begun < 40  # a thousand drops take longer


def test_a_python_that_knows_no_authority_believes_mozillas(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As python.org's on a Mac: every picture by https was refused."""
    monkeypatch.setenv("SSL_CERT_FILE", "/nonexistent")
    monkeypatch.setenv("SSL_CERT_DIR", "/nonexistent")
    assert not ssl.create_default_context().get_ca_certs()
    context = fetch.trusting()
    assert len(context.get_ca_certs()) > 50 and context.check_hostname
